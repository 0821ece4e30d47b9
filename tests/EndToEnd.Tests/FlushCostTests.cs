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

    [Theory]
    [InlineData("qcow2-ordered", 2.01)]
    [InlineData("qcow2-barrier", 2.01)]
    [InlineData("qcow2-journal", 1.01)]
    [InlineData("pm", 1.01)]
    public void An_append_costs(string pipeline, double most)
    {
        int flushes = HostFlushes(Sequential, pipeline: pipeline);
        Assert.InRange(flushes, Writes, (int)(most * Writes));
    }

    [Theory]
    [InlineData("qcow2-ordered", 2.01)]
    [InlineData("qcow2-barrier", 2.01)]
    [InlineData("qcow2-journal", 1.01)]
    [InlineData("pm", 1.01)]
    public void Random_writes_to_40_new_L2_tables_cost_and_the_tables_nothing_on_top(string pipeline, double most)
    {
        var random = new Random(1);
        var offsets = new HashSet<long>();
        while (offsets.Count < Writes) offsets.Add((offsets.Count % 40 * L2Bytes) + (random.Next((int)(L2Bytes / WriteBytes)) * (long)WriteBytes));
        int flushes = HostFlushes(offsets, pipeline: pipeline);
        Assert.InRange(flushes, Writes, (int)(most * Writes));
    }

    [Theory]
    [InlineData("qcow2-ordered")]
    [InlineData("qcow2-barrier")]
    [InlineData("qcow2-journal")]
    [InlineData("pm")]
    public void An_overwrite_costs_one(string pipeline)
    {
        HostFlushes(Sequential, pipeline: pipeline);
        int flushes = HostFlushes(Sequential, pipeline: pipeline);
        Assert.Equal(Writes, flushes);
    }

    [Theory]
    [InlineData("qcow2-ordered", 2.01)]
    [InlineData("qcow2-barrier", 2.01)]
    [InlineData("qcow2-journal", 1.01)]
    [InlineData("pm", 1.01)]
    public void A_copy_on_write_after_a_snapshot_costs(string pipeline, double most)
    {
        HostFlushes(Sequential, pipeline: pipeline);
        Qemu.Img("snapshot", "-c", "s", _image);
        int flushes = HostFlushes(Sequential, pipeline: pipeline);
        Assert.InRange(flushes, Writes, (int)(most * Writes));
    }

    [Theory]
    [InlineData("qcow2-journal")]
    [InlineData(DualModePipeline.Name)]
    public void A_small_random_write_costs_one_write_home_or_in_the_journal_and_one_flush_and_nothing_else(string pipeline)
    {
        HostFlushes(Sequential);
        var random = new Random(3);
        string[] offsets = [.. Enumerable.Range(0, Writes).Select(_ => $"{random.Next(Writes * 16) * 4096L}")];
        IReadOnlyDictionary<string, int> calls = Calls(_image, pipeline, SyncTrace.Calls + "," + SyncTrace.Writes, uri =>
            Tool.RunIn(null, string.Join('\n', offsets), Tool.Python, Tool.Script("flushing_writer.py"), uri, "4096").Expect(0));
        Assert.Equal(new Dictionary<string, int> { ["fdatasync"] = Writes, ["pwrite64"] = Writes }, calls.OrderBy(c => c.Key, StringComparer.Ordinal).ToDictionary());
    }

    [Fact]
    public void A_raw_disk_costs_one()
    {
        string raw = PathOf("disk.raw");
        Qemu.Img("create", "-q", "-f", "raw", raw, "1G");
        Assert.Equal(Writes, HostFlushes(Sequential, raw, "raw"));
    }

    [Fact]
    public void Flushes_of_16_connections_share_host_flushes()
    {
        HostFlushes(Sequential);
        int guestFlushes = 0;
        int hostFlushes = HostFlushes(_image, "qcow2-ordered", uri => guestFlushes = Fio.Nbd(
            uri, "--rw=randwrite", "--bs=4k", "--size=24M", "--numjobs=16", "--iodepth=1", "--number_ios=60", "--fsync=1").GetProperty("sync").GetProperty("total_ios").GetInt32());
        Assert.True(guestFlushes >= 16 * 50, $"fio flushed {guestFlushes} times");
        Assert.InRange(hostFlushes, 1, guestFlushes - 1);
    }

    [Fact]
    public void A_flush_with_nothing_written_since_costs_nothing()
    {
        int flushes = HostFlushes(_image, "qcow2-ordered", uri => Qemu.Io("raw", uri, ["write 0 64k", .. Enumerable.Repeat("flush", 100)]));
        Assert.InRange(flushes, 1, 4);
    }

    private int HostFlushes(IEnumerable<long> offsets, string? image = null, string pipeline = "qcow2-ordered") => HostFlushes(image ?? _image, pipeline, uri =>
        Tool.RunIn(null, string.Join('\n', offsets), Tool.Python, Tool.Script("flushing_writer.py"), uri, $"{WriteBytes}").Expect(0));

    /// <summary>The fdatasync calls while a client works; no other way of flushing may be used.</summary>
    private int HostFlushes(string image, string pipeline, Action<string> work)
    {
        IReadOnlyDictionary<string, int> calls = Calls(image, pipeline, SyncTrace.Calls, work);
        _log.WriteLine(string.Join(", ", calls));
        Assert.True(calls.Keys.All(call => call == "fdatasync"), string.Join(", ", calls));
        return calls.GetValueOrDefault("fdatasync");
    }

    private IReadOnlyDictionary<string, int> Calls(string image, string pipeline, string traced, Action<string> work)
    {
        string trace = PathOf("trace");
        DateTime start, end;
        using (SphostProcess sphost = SphostProcess.ServeTraced(Folder, trace, traced, [image, .. Served(pipeline)]))
        {
            start = DateTime.UtcNow;
            work(sphost.Uri());
            end = DateTime.UtcNow;
            sphost.Close();
        }

        Qemu.RequireClean(image);
        IReadOnlyDictionary<string, int> calls = new SyncTrace(trace).Between(start, end);
        File.Delete(trace);
        return calls;
    }

    private string[] Served(string pipeline) => pipeline switch
    {
        "pm" => ["--config", PersistentMemory(), "--pipeline", "pm"],
        DualModePipeline.Name => DualModePipeline.Arguments(Folder),
        _ => ["--pipeline", pipeline],
    };

    /// <summary>Persistent memory is memory here, and is told so.</summary>
    private string PersistentMemory()
    {
        string file = PathOf("pm.json");
        File.WriteAllText(file, $$"""
            { "pipelines": { "pm": { "format": "qcow2", "journal": { "id": "pm", "path": "/dev/shm/sp-{{Path.GetFileName(Folder)}}.pmj", "emulated": true }, "ordering": "fdatasync" } } }
            """);
        return file;
    }
}
