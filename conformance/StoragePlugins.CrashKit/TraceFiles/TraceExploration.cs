using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;
using Trace = StoragePlugins.CrashKit.Recording.Trace;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>
/// Explores what power cuts during a recorded trace could have left of an image: recorded here or by QEMU, of our formats or of theirs.
/// </summary>
/// <remarks>
/// A first round tries each crash point with a few states, further ones with more and other random choices, until a round finds nothing new, the budget
/// is spent or enough was found.
/// </remarks>
public sealed class TraceExploration
{
    // From a first look at all crash points to what is near exhaustion of small ones.
    private const int FirstRoundStates = 64;
    private const int Rounds = 7;

    private readonly TraceExplorationSettings _settings;
    private readonly Func<Machine, CheckReport> _check;
    private readonly Machine _start;
    private readonly Trace _trace;
    private readonly StateLedger _ledger = new();
    private readonly List<BrokenTraceState> _broken = [];
    private readonly List<long> _telling;
    private readonly int _flushes;
    private long _clean;
    private long _leaking;

    private TraceExploration(ReadOnlySpan<byte> image, Trace trace, Func<Machine, CheckReport> check, TraceExplorationSettings settings)
    {
        ThrowIfTooLarge(image.Length, trace);
        (_settings, _check) = (settings, check);
        _start = new Machine(image, settings.Model == PersistenceModel.Barrier ? DeviceTraits.BarrierDisk : DeviceTraits.Disk);
        _telling = [.. settings.TellingTicks];
        TraceEvent[] flushes = [.. trace.Events.Where(entry => entry.Kind == TraceKind.Flush)];
        _flushes = flushes.Length;
        _trace = settings.IgnoresFlushes ? WithoutFlushes(trace) : trace;
        // The moments are telling all the same.
        if (settings.IgnoresFlushes) _telling.AddRange(flushes.Where(flush => flush.End != TraceEvent.Never).Select(flush => flush.End));
    }

    /// <summary>Judges states by the format's own check, as they are: nothing recovers them first.</summary>
    /// <param name="image">The image before the trace.</param>
    /// <param name="trace">What was asked of its device.</param>
    /// <param name="format">The format, which must be able to check.</param>
    /// <param name="settings">How.</param>
    /// <param name="cancellation">Ends the search early; what was found is reported.</param>
    /// <exception cref="DiagnosticException">SP6023: image or trace are too large. SP6026: the format has no check.</exception>
    public static TraceExplorationReport Run(
        ReadOnlySpan<byte> image, Trace trace, Tested<IBlockFormat> format, TraceExplorationSettings settings, CancellationToken cancellation = default)
    {
        ICheckingFormat checking = CheckOf(format);
        CheckReport Check(Machine machine)
        {
            using SimulatedMedium medium = machine.OpenImage(isReadOnly: true);
            return checking.Check(medium, RepairMode.None, new StrategyContext(format.Options, new StorageMeter(), NullLogger.Instance));
        }

        return new TraceExploration(image, trace, Check, settings).Explore(cancellation);
    }

    /// <summary>Opens each state with a pipeline, which recovers it, closes it, and then checks it: for what a journal of ours left.</summary>
    /// <inheritdoc cref="Run(ReadOnlySpan{byte}, Trace, Tested{IBlockFormat}, TraceExplorationSettings, CancellationToken)"/>
    public static TraceExplorationReport Run(ReadOnlySpan<byte> image, Trace trace, TestedPipeline pipeline, TraceExplorationSettings settings, CancellationToken cancellation = default)
    {
        _ = CheckOf(pipeline.Format);
        CheckReport Check(Machine machine)
        {
            using (OpenedSubject opened = pipeline.Open(machine)) opened.Image.Close();
            return pipeline.Check(machine)!;
        }

        return new TraceExploration(image, trace, Check, settings).Explore(cancellation);
    }

    private static ICheckingFormat CheckOf(Tested<IBlockFormat> format) => format.Strategy as ICheckingFormat
        ?? throw new DiagnosticException("SP6026", $"crash states of format '{format.Id}' cannot be judged: it has no check", fix: "name the format that is in the image");

    private static void ThrowIfTooLarge(long length, Trace trace)
    {
        if (length > DeviceImage.MaxLength) throw LogProblem.TooLarge("image", "the image is too large to be explored", $"at most {DeviceImage.MaxLength >> 20} MiB", $"{length} bytes");
        foreach (TraceEvent entry in trace.Events)
        {
            if (entry.Kind is not (TraceKind.Write or TraceKind.SetLength) || entry.Offset <= DeviceImage.MaxLength - entry.Length) continue;
            throw LogProblem.TooLarge("image", "the image becomes too large to be explored", $"at most {DeviceImage.MaxLength >> 20} MiB", entry.ToString());
        }
    }

    // The same events on the same clock, with remarks in place of flushes.
    private static Trace WithoutFlushes(Trace trace)
    {
        var copy = new Trace();
        var steps = new List<(long Tick, TraceEvent Entry, bool IsEnd)>();
        foreach (TraceEvent entry in trace.Events)
        {
            steps.Add((entry.Begin, entry, false));
            if (entry.End != TraceEvent.Never) steps.Add((entry.End, entry, true));
        }

        var copies = new TraceEvent[trace.Events.Count];
        foreach ((long tick, TraceEvent entry, bool isEnd) in steps.OrderBy(step => step.Tick))
        {
            while (copy.Now < tick - 1) copy.Tick();
            if (isEnd) copy.End(copies[entry.Index]);
            else if (entry.Kind == TraceKind.Flush) copies[entry.Index] = copy.Begin(TraceKind.Mark, entry.Device, text: "an ignored flush");
            else copies[entry.Index] = copy.Begin(entry.Kind, entry.Device, entry.Offset, entry.Length, entry.Data.Span, entry.Content, text: entry.Text);
        }

        while (copy.Now < trace.Now) copy.Tick();
        return copy;
    }

    private TraceExplorationReport Explore(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        stop.CancelAfter(_settings.Budget);
        long start = Stopwatch.GetTimestamp();
        for (int round = 0; round < Rounds && !stop.IsCancellationRequested; round++)
        {
            long before = _ledger.Judged;
            ExploreRound(round, stop);
            if (round > 0 && _ledger.Judged == before) break;
        }

        return new TraceExplorationReport
        {
            Events = _trace.Events.Count,
            Flushes = _flushes,
            States = _ledger.States,
            DistinctStates = _ledger.DistinctStates,
            JudgedStates = _ledger.Judged,
            CleanStates = _clean,
            LeakingStates = _leaking,
            ByTier = _ledger.JudgedByTier,
            Elapsed = Stopwatch.GetElapsedTime(start),
            Broken = _broken,
        };
    }

    private void ExploreRound(int round, CancellationTokenSource stop)
    {
        int states = FirstRoundStates << (2 * round);
        var settings = new ExplorerSettings
        {
            Model = _settings.Model,
            AtomBytes = _settings.AtomBytes,
            Limits = new ChooserLimits { StatesPerPoint = states, FullSubsetRequests = 4 + (2 * round), FullAtomStates = states, Pairs = states / 4, RandomPerEpoch = states / 2 },
        };
        Random random = WorkloadPlan.Seeded(_settings.Seed, round, salt: 2);
        var explorer = new StateExplorer(_start, _trace, settings, _ledger);
        foreach (BrokenState broken in explorer.Explore(_telling, ObligationAt, Judge, random, stop.Token))
        {
            _broken.Add(Describe(broken, settings));
            if (_broken.Count >= _settings.StopAfter) stop.Cancel();
        }

        void Judge(Machine machine, long tick, Tier tier)
        {
            this.Judge(machine, tick);
            if (_ledger.DistinctStates >= _settings.MaxDistinctStates) stop.Cancel();
        }
    }

    private ulong ObligationAt(long tick)
    {
        int owed = 0;
        foreach (long telling in _settings.TellingTicks) if (telling <= tick) owed++;
        return (ulong)owed;
    }

    private void Judge(Machine machine, long tick)
    {
        CheckReport report = _check(machine);
        _settings.Inspect?.Invoke(machine, tick, report);
        if (report.Corruptions > 0) throw new InvariantBrokenException(Invariant.I3CheckIsClean, $"the check finds corruption: {string.Join("; ", report.Findings.Take(3))}");
        if (report.Leaks > 0 && !_settings.AllowsLeaks) throw new InvariantBrokenException(Invariant.I3CheckIsClean, $"the check finds leaks: {string.Join("; ", report.Findings.Take(3))}");
        if (report.Leaks > 0) _leaking++;
        else _clean++;
    }

    private BrokenTraceState Describe(BrokenState broken, ExplorerSettings settings)
    {
        var cursor = new TraceCursor(_start, _trace, settings.Model, settings.AtomBytes);
        cursor.MoveTo(broken.Tick);
        CrashPoint point = cursor.Here();
        StateChoice newest = point.Newest(point.LastEpochs());
        var lost = new SortedDictionary<int, TraceEvent>();
        var kept = new SortedDictionary<int, TraceEvent>();
        for (int i = 0; i < point.Slots.Count; i++)
        {
            int version = broken.Choice.Versions[i];
            for (int v = version + 1; v <= newest.Versions[i]; v++) if (point.Slots[i].Versions[v].Cause is { } cause) lost[cause.Index] = cause;
            if (version > point.Slots[i].Floor && point.Slots[i].Versions[version].Cause is { } there) kept[there.Index] = there;
        }

        TraceEvent? last = _trace.Events.LastOrDefault(entry => entry.Begin <= broken.Tick);
        return new BrokenTraceState(
            broken.Tick, last?.ToString() ?? "the start", broken.Tier, broken.Invariant, broken.Problem.Message,
            [.. lost.Values.Take(BrokenTraceState.MaxEvents).Select(entry => entry.ToString())], [.. kept.Values.Take(BrokenTraceState.MaxEvents).Select(entry => entry.ToString())]);
    }
}
