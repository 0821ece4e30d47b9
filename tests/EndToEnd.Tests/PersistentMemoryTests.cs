using Xunit.Abstractions;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Pipelines in memory that stands in for persistent memory, /dev/shm, and is told so.</summary>
public sealed class PersistentMemoryTests : Scratch
{
    private const int Writes = 400;

    private static readonly int s_kills = IsLong ? 200 : 20;

    private readonly ITestOutputHelper _log;
    private readonly DirectoryInfo _memory = Directory.CreateDirectory("/dev/shm/sp-e2e-" + Guid.NewGuid().ToString("N"));
    private readonly string _configuration;

    public PersistentMemoryTests(ITestOutputHelper log)
    {
        _log = log;
        _configuration = PathOf("pm.json");
        File.WriteAllText(_configuration, $$"""
            { "pipelines": {
                "journal": { "format": "qcow2", "journal": { "id": "pm", "path": "{{Journal}}", "emulated": true }, "ordering": "fdatasync" },
                "both": { "format": "qcow2", "journal": { "id": "pm", "path": "{{Journal}}", "emulated": true }, "ordering": "fdatasync", "medium": [ { "id": "pm", "emulated": true }, "file" ] },
                "raw-pm": { "format": "raw", "journal": "ordered", "ordering": "fdatasync", "medium": [ { "id": "pm", "emulated": true }, "file" ] } } }
            """);
    }

    private string Journal => Path.Combine(_memory.FullName, "journal.pmj");

    public override void Dispose()
    {
        base.Dispose();
        _memory.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void Image_and_journal_in_persistent_memory_cost_no_flush_of_any_kind()
    {
        string image = Path.Combine(_memory.FullName, "disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "20G");
        long[] appends = [.. Enumerable.Range(0, Writes).Select(i => i * 65536L)];
        Assert.Empty(Syncs(image, "both", appends, 65536));
        Assert.Empty(Syncs(image, "both", appends, 65536));
        Qemu.RequireClean(image);
    }

    [Fact]
    public void Short_synchronous_writes_to_an_image_on_disk_cost_no_flush()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        Syncs(image, "journal", [.. Enumerable.Range(0, Writes).Select(i => i * 65536L)], 65536);
        var random = new Random(3);
        IReadOnlyDictionary<string, int> syncs = Syncs(image, "journal", [.. Enumerable.Range(0, Writes).Select(_ => random.Next(Writes * 16) * 4096L)], 4096);
        Assert.InRange(syncs.Values.Sum(), 0, 1); // the first flush after opening always runs
        Qemu.RequireClean(image);
    }

    [Theory]
    [InlineData("journal")]
    [InlineData("both")]
    public void After_kill_9_nothing_flushed_is_lost_and_the_image_is_sound(string pipeline)
    {
        string first = PathOf("first.qcow2"), raw = PathOf("first.raw"), firstState = PathOf("first.state"), state = PathOf("disk.state");
        string image = Path.Combine(pipeline == "both" ? _memory.FullName : Folder, "disk.qcow2");
        Tool.Run(Tool.Python, Tool.Script("crash_writer.py"), "fill", raw, firstState).Expect(0);
        Qemu.Img("convert", "-f", "raw", "-O", "qcow2", raw, first);
        Qemu.Img("snapshot", "-c", "s", first);
        int replayed = 0;
        for (int seed = 7000; seed < 7000 + s_kills; seed++)
        {
            File.Copy(first, image, overwrite: true);
            File.Copy(firstState, state, overwrite: true);
            using (SphostProcess sphost = Serve(image, pipeline))
            {
                Tool.Run(Tool.Python, Tool.Script("crash_writer.py"), "write", state, $"{seed}", $"{sphost.Id}", sphost.Uri()).Expect(0);
                sphost.WaitForEnd();
            }

            ToolResult recovered = Tool.Sphost("image", "recover", image, "--pipeline", pipeline, "--config", _configuration);
            recovered.Expect(0);
            if (!recovered.Text.Contains(": 0 transactions", StringComparison.Ordinal)) replayed++;
            Assert.False(File.Exists(Journal), "a clean close removes the journal that the session made");
            Qemu.RequireClean(image);
            Qemu.Img("convert", "-f", "qcow2", "-O", "raw", image, PathOf("after.raw"));
            ToolResult check = Tool.Run(Tool.Python, Tool.Script("crash_writer.py"), "check", state, PathOf("after.raw"));
            Assert.True(check.ExitCode == 0, $"seed {seed}: {check.Text}");
            Qemu.Img("convert", "-l", "s", "-O", "raw", image, PathOf("after.raw"));
            Bytes.RequireEqual(raw, PathOf("after.raw"));
        }

        _log.WriteLine($"{s_kills} kills, {replayed} with records to replay");
        Assert.True(replayed > s_kills / 4, $"only {replayed} of {s_kills} crashes left something to replay");
    }

    [Fact]
    public void Journal_cut_under_a_served_image_is_an_error_for_its_clients_and_not_the_end_of_the_host()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        using (SphostProcess sphost = Serve(image, "journal"))
        {
            Qemu.Io("raw", sphost.Uri(), "write -P 1 0 64k", "flush");
            Tool.Run("truncate", "-s", "0", Journal).Expect(0);
            ToolResult refused = Tool.Run("qemu-io", "-f", "raw", sphost.Uri(), "-c", "write -P 2 64k 4k", "-c", "flush");
            Assert.Contains("Input/output error", refused.Text, StringComparison.Ordinal);
            // It lives, and serves reads.
            Qemu.Io("raw", sphost.Uri(), "read -P 1 0 64k");
            sphost.Terminate();
        }

        ToolResult missing = Tool.Sphost("image", "recover", image, "--pipeline", "journal", "--config", _configuration);
        Assert.Contains("SP3131", missing.Text, StringComparison.Ordinal);
        Tool.Sphost("image", "recover", image, "--discard-journal").Expect(0);
        Qemu.RequireClean(image);
    }

    [Fact]
    public void Image_cut_under_a_served_disk_is_an_error_for_its_clients_and_not_the_end_of_the_host()
    {
        string image = Path.Combine(_memory.FullName, "disk.raw");
        Qemu.Img("create", "-q", "-f", "raw", image, "64M");
        using SphostProcess sphost = Serve(image, "raw-pm");
        Qemu.Io("raw", sphost.Uri(), "write -P 1 32M 64k", "flush", "read -P 1 32M 64k");
        Tool.Run("truncate", "-s", "1M", image).Expect(0);
        ToolResult refused = Tool.Run("qemu-io", "-f", "raw", sphost.Uri(), "-c", "read 32M 64k");
        Assert.Contains("Input/output error", refused.Text, StringComparison.Ordinal);
        Tool.Run("qemu-io", "-f", "raw", sphost.Uri(), "-c", "write 32M 64k", "-c", "flush");
        Assert.NotEqual(139, sphost.Terminate());
    }

    [MountTheory]
    [InlineData(8)]
    public void Full_file_system_is_no_space_for_the_guest_and_not_a_lost_page(int mebibytes)
    {
        using SmallFileSystem small = SmallFileSystem.Tmpfs(PathOf("small"), mebibytes);
        string image = Path.Combine(PathOf("small"), "disk.raw");
        Qemu.Img("create", "-q", "-f", "raw", image, "64M");
        using SphostProcess sphost = Serve(image, "raw-pm");
        Qemu.Io("raw", sphost.Uri(), "write -P 1 0 4M");
        ToolResult refused = Tool.Run("qemu-io", "-f", "raw", sphost.Uri(), "-c", "write -P 2 8M 16M");
        Assert.Contains("No space left on device", refused.Text, StringComparison.Ordinal);
        Qemu.Io("raw", sphost.Uri(), "write -P 3 1M 1M", "flush", "read -P 3 1M 1M");
        sphost.Close();
    }

    private SphostProcess Serve(string image, string pipeline) => SphostProcess.Serve(Folder, image, "--pipeline", pipeline, "--config", _configuration);

    private IReadOnlyDictionary<string, int> Syncs(string image, string pipeline, IEnumerable<long> offsets, int bytes)
    {
        string trace = PathOf("trace");
        DateTime start, end;
        using (SphostProcess sphost = SphostProcess.ServeTraced(Folder, trace, SyncTrace.Calls, image, "--pipeline", pipeline, "--config", _configuration))
        {
            start = DateTime.UtcNow;
            Tool.RunIn(null, string.Join('\n', offsets), Tool.Python, Tool.Script("flushing_writer.py"), sphost.Uri(), $"{bytes}").Expect(0);
            end = DateTime.UtcNow;
            sphost.Close();
        }

        IReadOnlyDictionary<string, int> calls = new SyncTrace(trace).Between(start, end);
        File.Delete(trace);
        _log.WriteLine($"{pipeline}, {bytes} bytes: {string.Join(", ", calls)}");
        return calls;
    }
}
