using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.Fsync;
using StoragePlugins.Ordered;
using StoragePlugins.Qcow2;
using Xunit.Abstractions;

namespace StoragePlugins.CrashKit.Tests.QemuLogs;

/// <summary>QEMU's qcow2 driver as the baseline: what its own log allows a power cut to leave, judged by our checker and by qemu-img.</summary>
public sealed class QemuLogTests(QemuRecording recording, ITestOutputHelper output) : IClassFixture<QemuRecording>
{
    private static readonly Tested<IBlockFormat> s_format = new("qcow2", new Qcow2Format());
    private static readonly TestedPipeline s_reader = new("qemu", s_format, new("fdatasync", new FDataSyncOrdering()), new("ordered", new OrderedJournal()));

    // Full-length runs were asked for: ./test.sh --long
    private static readonly bool s_isLong = Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1";

    [Fact]
    public void The_log_of_qemu_replayed_to_its_end_is_the_image_of_qemu()
    {
        Assert.True(recording.Writes >= 17 && recording.Flushes == 9);
        IReadOnlyList<TraceEvent> events = recording.Imported.Trace.Events;
        Assert.Equal(recording.SuperEntries, events.Count);
        Assert.Contains(events, entry => entry.Kind == TraceKind.Zero);
        var image = new DeviceImage(recording.Base);
        foreach (TraceEvent entry in events)
        {
            if (entry.Kind == TraceKind.Write) image.Write(entry.Offset, entry.Data.Span);
            else if (entry.Kind == TraceKind.Zero) image.Zero(entry.Offset, entry.Length);
        }

        Assert.Equal(recording.Final, image.ToArray());
        output.WriteLine($"{recording.Writes} guest writes, {recording.Flushes} guest flushes: {events.Count(e => e.Kind == TraceKind.Write)} writes, {events.Count(e => e.Kind == TraceKind.Flush)} flushes of the device");
    }

    [Fact]
    public void Every_crash_state_of_qemu_is_free_of_corruption_and_shows_what_was_flushed()
    {
        byte[] shown = new byte[QemuRecording.DiskBytes];
        var ticks = new HashSet<long>();
        TraceExplorationReport report = TraceExploration.Run(recording.Base, recording.Imported.Trace, s_format, new TraceExplorationSettings
        {
            MaxDistinctStates = s_isLong ? 100_000 : 3000,
            Budget = TimeSpan.FromMinutes(5),
            TellingTicks = recording.PromiseTicks,
            Inspect = (machine, tick, _) =>
            {
                ticks.Add(tick);
                using OpenedSubject opened = s_reader.Open(machine, readOnly: true);
                using IVirtualDisk disk = opened.Image.OpenDisk("");
                disk.Read(0, shown);
                if (recording.Judge(shown, tick) is { } wrong) throw new InvariantBrokenException(Invariant.I4Durable, wrong);
            },
        });
        Print(report);
        Assert.Empty(report.Broken);
        Assert.True(report.DistinctStates >= 1000, $"{report.DistinctStates} distinct states");
        // None is tried twice, so a moment at which nothing had changed has no state of its own.
        Assert.True(ticks.Count >= report.Flushes, $"power cuts at {ticks.Count} moments, and {report.Flushes} flushes");
        Assert.True(ticks.Max() >= recording.PromiseTicks[^1]);
        // QEMU leaks by design: refcounts reach the disk before what refers to the clusters.
        Assert.True(report is { LeakingStates: > 0, CleanStates: > 0 });
    }

    [Fact]
    public void The_same_log_with_its_flushes_ignored_shows_corruption()
    {
        TraceExplorationReport report = TraceExploration.Run(recording.Base, recording.Imported.Trace, s_format, new TraceExplorationSettings { IgnoresFlushes = true });
        Print(report);
        BrokenTraceState broken = Assert.Single(report.Broken);
        Assert.Equal(Invariant.I3CheckIsClean, broken.Invariant);
        Assert.NotEmpty(broken.Lost);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Qemu_img_judges_sampled_states_as_our_checker_does(bool ignoresFlushes)
    {
        const int OfEachVerdict = 4;
        var verdicts = new Dictionary<int, int>();
        int seen = 0;
        void Inspect(Machine machine, long tick, CheckReport report)
        {
            int ours = report.Corruptions > 0 ? 2 : report.Leaks > 0 ? 3 : 0, before = verdicts.GetValueOrDefault(ours);
            // Of each verdict the first, then some from all over.
            if (before == OfEachVerdict || (before > 0 && seen++ % 17 != 0)) return;
            string path = recording.PathOf($"state-{ignoresFlushes}");
            File.WriteAllBytes(path, machine.Devices[0].Image.ToArray());
            int theirs = QemuRecording.Run("qemu-img", "check", path);
            Assert.True(theirs == ours, $"tick {tick}: qemu-img check says {theirs}, ours {ours}: {string.Join("; ", report.Findings)}");
            verdicts[ours] = before + 1;
        }

        TraceExplorationReport report = TraceExploration.Run(recording.Base, recording.Imported.Trace, s_format, new TraceExplorationSettings
        {
            IgnoresFlushes = ignoresFlushes,
            MaxDistinctStates = 600,
            StopAfter = int.MaxValue,
            Inspect = Inspect,
        });
        Print(report);
        output.WriteLine(string.Join(", ", verdicts));
        Assert.Equal(ignoresFlushes ? [0, 2, 3] : [0, 3], verdicts.Keys.Order());
        Assert.All(verdicts.Values, sampled => Assert.Equal(OfEachVerdict, sampled));
        Assert.DoesNotContain(report.Broken, broken => broken.Invariant != Invariant.I3CheckIsClean);
    }

    [Fact]
    public void A_promise_is_broken_by_a_disk_that_shows_something_older()
    {
        long last = recording.Imported.Trace.Now;
        using OpenedSubject opened = s_reader.Open(new Machine(recording.Final), readOnly: true);
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        byte[] shown = new byte[QemuRecording.DiskBytes];
        disk.Read(0, shown);
        Assert.Null(recording.Judge(shown, last));
        shown.AsSpan(0, 512).Fill(1);
        Assert.NotNull(recording.Judge(shown, last));
        Assert.Null(recording.Judge(shown, recording.PromiseTicks[5]));
        Assert.NotNull(recording.Judge(new byte[QemuRecording.DiskBytes], recording.PromiseTicks[0]));
    }

    private void Print(TraceExplorationReport report)
    {
        output.WriteLine($"{report.Events} events, {report.DistinctStates} distinct states, {report.JudgedStates} judged: {report.CleanStates} clean, {report.LeakingStates} leaking, " +
            $"{report.Broken.Count} broken; {report.StatesPerSecond:F0} states/s; {string.Join(", ", report.ByTier)}");
        foreach (BrokenTraceState broken in report.Broken.Take(3)) output.WriteLine($"{broken.After} ({broken.Tier}): {broken.Invariant} {broken.Problem}; lost: {string.Join("; ", broken.Lost)}");
    }
}
