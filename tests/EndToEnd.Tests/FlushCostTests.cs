using Xunit.Abstractions;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>
/// Host flushes for a guest's write + flush, counted by strace. QEMU 7.2 needs 2.006 on appends, 2.24 random over new L2 tables, 3.008 after a
/// snapshot, and 1.000 for overwrites.
/// </summary>
public sealed class FlushCostTests : Scratch
{
    private const int Writes = 400;
    private const int WriteBytes = 64 << 10;

    /// <summary>What one L2 table of 64 KiB clusters maps.</summary>
    private const long L2Bytes = 512L << 20;

    private readonly ITestOutputHelper _log;
    private readonly string _image;

    public FlushCostTests(ITestOutputHelper log)
    {
        _log = log;
        _image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "20G");
    }

    private static IEnumerable<long> Sequential => Enumerable.Range(0, Writes).Select(i => (long)i * WriteBytes);

    [Fact]
    public void An_append_costs_two()
    {
        int flushes = HostFlushes(Sequential);
        Assert.InRange(flushes, Writes, (int)(2.01 * Writes));
    }

    [Fact]
    public void Random_writes_to_40_new_L2_tables_cost_two_and_the_tables_nothing_on_top()
    {
        var random = new Random(1);
        var offsets = new HashSet<long>();
        while (offsets.Count < Writes) offsets.Add((offsets.Count % 40 * L2Bytes) + (random.Next((int)(L2Bytes / WriteBytes)) * (long)WriteBytes));
        int flushes = HostFlushes(offsets);
        Assert.InRange(flushes, Writes, (int)(2.01 * Writes));
    }

    [Fact]
    public void An_overwrite_costs_one()
    {
        HostFlushes(Sequential);
        int flushes = HostFlushes(Sequential);
        Assert.Equal(Writes, flushes);
    }

    [Fact]
    public void A_copy_on_write_after_a_snapshot_costs_two()
    {
        HostFlushes(Sequential);
        Qemu.Img("snapshot", "-c", "s", _image);
        int flushes = HostFlushes(Sequential);
        Assert.InRange(flushes, Writes, (int)(2.01 * Writes));
    }

    [Fact]
    public void A_raw_disk_costs_one()
    {
        string raw = PathOf("disk.raw");
        Qemu.Img("create", "-q", "-f", "raw", raw, "1G");
        Assert.Equal(Writes, HostFlushes(Sequential, raw));
    }

    [Fact]
    public void Flushes_of_16_connections_share_host_flushes()
    {
        HostFlushes(Sequential);
        int guestFlushes = 0;
        int hostFlushes = HostFlushes(_image, uri => guestFlushes = Fio.Nbd(
            uri, "--rw=randwrite", "--bs=4k", "--size=24M", "--numjobs=16", "--iodepth=1", "--number_ios=60", "--fsync=1").GetProperty("sync").GetProperty("total_ios").GetInt32());
        Assert.True(guestFlushes >= 16 * 50, $"fio flushed {guestFlushes} times");
        Assert.InRange(hostFlushes, 1, guestFlushes - 1);
    }

    [Fact]
    public void A_flush_with_nothing_written_since_costs_nothing()
    {
        int flushes = HostFlushes(_image, uri => Qemu.Io("raw", uri, ["write 0 64k", .. Enumerable.Repeat("flush", 100)]));
        Assert.InRange(flushes, 1, 4);
    }

    private int HostFlushes(IEnumerable<long> offsets, string? image = null) => HostFlushes(image ?? _image, uri =>
        Tool.RunIn(null, string.Join('\n', offsets), Tool.Python, Tool.Script("flushing_writer.py"), uri, $"{WriteBytes}").Expect(0));

    /// <summary>The fdatasync calls while a client works; no other way of flushing may be used.</summary>
    private int HostFlushes(string image, Action<string> work)
    {
        string trace = PathOf("trace");
        DateTime start, end;
        using (SphostProcess sphost = SphostProcess.ServeTraced(Folder, trace, SyncTrace.Calls, image))
        {
            start = DateTime.UtcNow;
            work(sphost.Uri());
            end = DateTime.UtcNow;
            sphost.Close();
        }

        Qemu.RequireClean(image);
        IReadOnlyDictionary<string, int> calls = new SyncTrace(trace).Between(start, end);
        File.Delete(trace);
        _log.WriteLine($"{calls.GetValueOrDefault("fdatasync")} fdatasync calls");
        Assert.True(calls.Keys.All(call => call == "fdatasync"), string.Join(", ", calls));
        return calls.GetValueOrDefault("fdatasync");
    }
}
