using System.Diagnostics;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.CrashKit.Workloads;
using StoragePlugins.Fsync;
using StoragePlugins.InternalJournal;
using StoragePlugins.Journaling;
using StoragePlugins.Qcow2;
using Trace = StoragePlugins.CrashKit.Recording.Trace;

namespace StoragePlugins.CrashKit.Tests.TraceFiles;

/// <summary>Our logs in the hands of a program that knows the format and nothing of us.</summary>
public sealed class ForeignReplayTests(Xunit.Abstractions.ITestOutputHelper output) : IDisposable
{
    private static readonly TestedPipeline s_journal = new(
        "qcow2-journal", new("qcow2", new Qcow2Format(), new Qcow2Options { ClusterSize = 4096 }), new("fdatasync", new FDataSyncOrdering()),
        new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, MaxInline = 1536, DualMode = DualMode.On }));

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-replay-");

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void The_log_of_a_journalled_image_replayed_by_another_program_gives_the_image(int sectorBytes)
    {
        (WorkloadRun run, Machine after) = Drive(seed: 11);
        byte[] before = run.Start.Devices[0].Image.ToArray(), expected = after.Devices[0].Image.ToArray();
        using (FileStream log = File.Create(PathOf("log"))) TraceExport.Write(run.Trace, 0, before, log, "log", sectorBytes);
        File.WriteAllBytes(PathOf("image"), before);

        string counts = Replay();

        byte[] replayed = File.ReadAllBytes(PathOf("image"));
        // Whole sectors: up to one more, of zeros, and whatever longer length the file once had.
        Assert.True(replayed.Length >= expected.Length, $"{replayed.Length} bytes, expected {expected.Length}");
        Assert.Equal(expected, replayed[..expected.Length]);
        Assert.False(replayed.AsSpan(expected.Length).ContainsAnyExcept((byte)0));
        Assert.Contains($"{run.Trace.Events.Count(entry => entry.Kind == TraceKind.Flush)} flushes", counts, StringComparison.Ordinal);
        Assert.EndsWith("; 0 bytes behind the last one", counts.TrimEnd(), StringComparison.Ordinal);
        Assert.True(run.Trace.Events.Count(entry => entry.Kind == TraceKind.Write) > 30);
    }

    [Fact]
    public void A_journalled_image_is_explored_from_its_log_as_from_memory()
    {
        (WorkloadRun run, _) = Drive(seed: 12);
        byte[] before = run.Start.Devices[0].Image.ToArray();
        using var log = new MemoryStream();
        TraceExport.Write(run.Trace, 0, before, log, "log");
        using var reader = new DmLogWritesReader(log, "log");
        var settings = new TraceExplorationSettings { AllowsLeaks = false, MaxDistinctStates = 800 };

        TraceExplorationReport report = TraceExploration.Run(before, TraceImport.Read(reader).Trace, s_journal, settings);

        output.WriteLine($"{report.Events} events, {report.Flushes} flushes: {report.DistinctStates} distinct states in {report.Elapsed}");
        Assert.Empty(report.Broken);
        Assert.True(report.CleanStates >= 400, $"{report.CleanStates}");
        TraceExplorationReport ignoring = TraceExploration.Run(before, TraceImport.Read(reader).Trace, s_journal, settings with { IgnoresFlushes = true, MaxDistinctStates = 100_000 });
        output.WriteLine($"flushes ignored: {ignoring.DistinctStates} distinct states in {ignoring.Elapsed}: {ignoring.Broken[0]}");
        Assert.NotEmpty(ignoring.Broken);
    }

    [Fact]
    public void A_format_without_a_check_is_refused() =>
        Assert.Equal("SP6026", Assert.Throws<DiagnosticException>(() => TraceExploration.Run([], new Trace(), new Tested<IBlockFormat>("raw", new Raw.RawFormat()), new TraceExplorationSettings())).Code);

    [Fact]
    public void An_image_that_becomes_too_large_is_refused_before_the_search()
    {
        var trace = new Trace();
        trace.Add(TraceKind.SetLength, 0, DeviceImage.MaxLength + 1);
        Assert.Equal("SP6023", Assert.Throws<DiagnosticException>(() => TraceExploration.Run([], trace, s_journal.Format, new TraceExplorationSettings())).Code);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static (WorkloadRun Run, Machine After) Drive(int seed)
    {
        const int DiskBytes = 64 * 4096;
        var plan = new WorkloadPlan(seed, 4096, DiskBytes, hasSnapshots: true, hasResize: true);
        // One of the long random ones.
        Workload workload = Enumerable.Range(plan.AlphabetSize, 16).Select(i => plan[i]).MaxBy(candidate => candidate.Steps.Count)!;
        Machine machine = s_journal.Create(DiskBytes, PersistenceModel.Disk);
        WorkloadRun run = WorkloadRun.Execute(s_journal, workload with { Fault = null }, machine, new byte[DiskBytes], []);
        if (run.Problem is not null) throw run.Problem;
        return (run, machine);
    }

    private string Replay()
    {
        var start = new ProcessStartInfo("/usr/bin/python3", [Path.Combine(AppContext.BaseDirectory, "Scripts", "replay_log.py"), PathOf("log"), PathOf("image")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)), "the replay did not end");
        Assert.True(process.ExitCode == 0, errors.Result);
        return output.Result;
    }

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);
}
