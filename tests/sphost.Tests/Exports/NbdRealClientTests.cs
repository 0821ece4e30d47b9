using System.Diagnostics;
using System.Text.Json;

namespace StoragePlugins.Host.Tests.Exports;

/// <summary>The clients that people use: libnbd's tools and bindings, QEMU's, fio.</summary>
public class NbdRealClientTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public void Nbdinfo_lists_all_exports_and_understands_every_offer()
    {
        using var server = new NbdTestServer([("one", new MemoryDisk(MiB), "the first"), ("two", new MemoryDisk(2 * MiB) { IsReadOnly = true }, "")]);
        using JsonDocument list = JsonDocument.Parse(Run("nbdinfo", "--list", "--json", server.Uri()));
        JsonElement[] exports = [.. list.RootElement.GetProperty("exports").EnumerateArray()];
        Assert.Equal(["one", "two"], exports.Select(export => export.GetProperty("export-name").GetString()));
        Assert.Equal("the first", exports[0].GetProperty("description").GetString());

        using JsonDocument info = JsonDocument.Parse(Run("nbdinfo", "--json", server.Uri("one")));
        Assert.True(info.RootElement.GetProperty("structured").GetBoolean());
        JsonElement one = info.RootElement.GetProperty("exports")[0];
        Assert.Equal(MiB, one.GetProperty("export-size").GetInt64());
        foreach (string offer in (string[])["can_cache", "can_df", "can_fast_zero", "can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero"])
            Assert.True(one.GetProperty(offer).GetBoolean(), offer);
        Assert.Equal((1, 65536, 32 * MiB), (
            one.GetProperty("block_size_minimum").GetInt32(), one.GetProperty("block_size_preferred").GetInt32(), one.GetProperty("block_size_maximum").GetInt32()));
        Assert.Equal(["base:allocation", "qemu:allocation-depth"], one.GetProperty("contexts").EnumerateArray().Select(context => context.GetString()));
    }

    [Fact]
    public void Clients_that_do_not_know_guest_barriers_never_notice_them()
    {
        var disk = new MemoryDisk(4 * MiB) { HasBarriers = true, Extents = [new DiskExtent(4 * MiB, ExtentFlags.None, 1)] };
        using var server = new NbdTestServer(disk);
        using JsonDocument info = JsonDocument.Parse(Run("nbdinfo", "--json", server.Uri()));
        Assert.Equal(4 * MiB, info.RootElement.GetProperty("exports")[0].GetProperty("export-size").GetInt64());
        string source = Path.Combine(server.Folder, "source");
        byte[] bytes = new byte[4 * MiB];
        new Random(8).NextBytes(bytes);
        File.WriteAllBytes(source, bytes);
        Run("nbdcopy", "--flush", source, server.Uri());
        Assert.True(bytes.AsSpan().SequenceEqual(disk.Bytes));
        Run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, server.Uri());
        Run("qemu-io", "-f", "raw", "-c", "write -P 7 4096 4096", "-c", "flush", server.Uri());
        Assert.Equal(7, disk.Bytes[4096]);
        Assert.Equal((0, 0L), (disk.Barriers, server.Disk.Meter.Read().GuestBarriers));
    }

    [Fact]
    public void Nbdinfo_maps_both_contexts()
    {
        var disk = new MemoryDisk(3 * 65536)
        {
            Extents = [new DiskExtent(65536, ExtentFlags.None, 1), new DiskExtent(65536, ExtentFlags.Hole | ExtentFlags.Zero, 0), new DiskExtent(65536, ExtentFlags.None, 2)],
        };
        using var server = new NbdTestServer(disk);
        Assert.Equal([0, 3, 0], Types(Run("nbdinfo", "--map", "--json", server.Uri())));
        Assert.Equal([1, 0, 2], Types(Run("nbdinfo", "--map=qemu:allocation-depth", "--json", server.Uri())));
    }

    [Fact]
    public void Nbdcopy_brings_a_file_there_and_back_over_several_connections()
    {
        var disk = new MemoryDisk(64 * MiB) { HasExtras = false };
        using var server = new NbdTestServer(disk);
        string source = Path.Combine(server.Folder, "source");
        string back = Path.Combine(server.Folder, "back");
        byte[] bytes = new byte[64 * MiB];
        new Random(7).NextBytes(bytes);
        File.WriteAllBytes(source, bytes);
        Run("nbdcopy", "--connections=4", "--flush", source, server.Uri());
        Assert.True(disk.Flushes > 0);
        Assert.True(bytes.AsSpan().SequenceEqual(disk.Bytes));
        Run("nbdcopy", "--connections=4", server.Uri(), back);
        Assert.True(bytes.AsSpan().SequenceEqual(File.ReadAllBytes(back)));
    }

    [Fact]
    public void Qemu_io_writes_zeroes_discards_and_reads_back()
    {
        var disk = new MemoryDisk(16 * MiB);
        using var server = new NbdTestServer(disk);
        string output = Run("qemu-io", "-f", "raw", "-t", "writeback", "-d", "unmap",
            "-c", "write -P 0xab 0 1M", "-c", "write -f -P 0xcd 4097 511", "-c", "write -z 65536 65536", "-c", "write -z -u 131072 65536",
            "-c", "discard 1M 1M", "-c", "flush", "-c", "read -P 0xab 8192 57344", "-c", "read -P 0 65536 131072", "-c", "read -P 0xcd 4097 511", server.Uri());
        Assert.DoesNotContain("failed", output, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("error", output, StringComparison.OrdinalIgnoreCase);
        Assert.Contains(disk.Ranges, range => range is ("zero", 65536, 65536, false));
        Assert.Contains(disk.Ranges, range => range is ("zero", 131072, 65536, true));
        Assert.Contains(disk.Ranges, range => range is ("discard", MiB, MiB, true));
        Assert.Equal(0xcd, disk.Bytes[4097]);
    }

    [Fact]
    public void Qemu_img_converts_there_and_back_and_compares_identical()
    {
        using var server = new NbdTestServer(new MemoryDisk(32 * MiB) { Extents = [new DiskExtent(32 * MiB, ExtentFlags.None, 1)] });
        string source = Path.Combine(server.Folder, "source");
        byte[] bytes = new byte[32 * MiB];
        new Random(8).NextBytes(bytes.AsSpan(0, 20 * MiB));
        File.WriteAllBytes(source, bytes);
        Run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, server.Uri());
        Assert.Contains("identical", Run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, server.Uri()), StringComparison.Ordinal);
        string back = Path.Combine(server.Folder, "back.qcow2");
        Run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.Uri(), back);
        Assert.Contains("identical", Run("qemu-img", "compare", source, back), StringComparison.Ordinal);
    }

    [Fact]
    public void Fio_verifies_what_it_wrote_at_depth_16()
    {
        using var server = new NbdTestServer(new MemoryDisk(32 * MiB) { HasExtras = false });
        Run("fio", "--name=verify", "--ioengine=nbd", $"--uri=nbd+unix:///?socket={server.SocketPath}", "--rw=randwrite", "--bsrange=512-128k", "--bs_unaligned=0",
            "--size=32m", "--io_size=64m", "--iodepth=16", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--fsync=64", "--randseed=3");
    }

    [Fact]
    public void Libnbd_confirms_fua_df_fast_zero_cache_and_multi_conn()
    {
        var disk = new MemoryDisk(MiB);
        using var server = new NbdTestServer(disk);
        string script = Path.Combine(server.Folder, "check.py");
        File.WriteAllText(script, Script);
        string output = Run("/usr/bin/python3", script, server.Uri());
        Assert.Equal("done", output.Trim());
        // One for the FUA write, one for the flush that followed a write of the other connection.
        Assert.Equal(2, disk.Flushes);
    }

    private const string Script = """
        import errno, nbd, sys

        def connect():
            h = nbd.NBD()
            h.set_strict_mode(0)
            h.connect_uri(sys.argv[1])
            return h

        def fails(code, call):
            try:
                call()
            except nbd.Error as e:
                assert e.errnum == code, (e.errnum, code)
            else:
                assert False, "should have failed"

        a, b = connect(), connect()
        assert a.can_multi_conn() and a.can_df() and a.can_fua() and a.can_fast_zero() and a.can_cache()
        a.pwrite(b"x" * 4096, 0, nbd.CMD_FLAG_FUA)
        assert b.pread(4096, 0, nbd.CMD_FLAG_DF) == bytearray(b"x" * 4096)
        a.pwrite(b"y" * 512, 512)
        b.flush()
        a.flush()
        b.cache(65536, 0)
        a.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)
        assert b.pread(4096, 0) == bytearray(4096)
        fails(errno.EINVAL, lambda: a.pread(512, 1 << 20))
        fails(errno.ENOSPC, lambda: a.pwrite(b"z", 1 << 20))
        fails(errno.EINVAL, lambda: a.trim(512, 1 << 20))
        a.shutdown()
        b.shutdown()
        print("done")
        """;

    private static IEnumerable<int> Types(string map)
    {
        using JsonDocument document = JsonDocument.Parse(map);
        return [.. document.RootElement.EnumerateArray().Select(run => run.GetProperty("type").GetInt32())];
    }

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        bool ended = process.WaitForExit(TimeSpan.FromSeconds(60));
        if (!ended) process.Kill();
        process.WaitForExit();
        Assert.True(ended && process.ExitCode == 0, $"{program}: {errors.Result}{output.Result}");
        return output.Result;
    }
}
