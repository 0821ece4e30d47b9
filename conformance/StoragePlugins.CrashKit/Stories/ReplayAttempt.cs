using System.Diagnostics;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;
using Trace = StoragePlugins.CrashKit.Recording.Trace;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>One replay under way.</summary>
internal sealed class ReplayAttempt(TestedPipeline pipeline, ReplayFile file, TrialBudget budget, IForeignReader? foreign)
{
    private readonly ReplayDocument _document = file.Document;
    private readonly Workload _workload = file.Document.Workload.ToWorkload();
    private readonly Sight _sight = Sight.Of(file.Scene?.Second, foreign);
    private long _progress = Stopwatch.GetTimestamp();

    /// <summary>How long the state or run that is under way has taken. From any thread.</summary>
    public TimeSpan SinceProgress => Stopwatch.GetElapsedTime(Volatile.Read(ref _progress));

    public ReplayVerdict Run(int runsOfConcurrent)
    {
        CrashFailure? recorded = file.Scene is null ? null : JudgeRecorded(file.Scene);
        bool isConcurrent = _workload.Steps.Any(step => step.Count > 1);
        bool isAsRecorded = false;
        for (int r = 0; r < (isConcurrent ? runsOfConcurrent : 1) && !budget.IsSpent; r++)
        {
            Progress();
            WorkloadRun run = WorkloadRun.Execute(pipeline, _workload, _document.Model, _document.Domain);
            if (run.Problem is not null) return StillFails(Failure(run), "without a power cut");
            if (file.Scene is { } scene && IsSame(scene.Trace, run.Trace, scene.Cut.Tick))
            {
                isAsRecorded = true;
                break;
            }

            if (file.Scene is null && !_document.IsHang) continue;
            if (Explore(run) is { } broken) return StillFails(Failure(run) with { State = broken }, recorded is null ? "in another state" : "the strategy makes other requests now, which do not survive either");
        }

        if (recorded is not null && (isAsRecorded || budget.IsSpent)) return StillFails(recorded, isAsRecorded ? "in the recorded state" : "in the recorded state; there was no time to see whether the strategy can still get there");
        if (isAsRecorded) return new ReplayVerdict(false, "no longer fails: the strategy makes the same requests, and recovers the recorded state");
        string how = file.Scene is null ? "the workload runs through" : "the strategy makes other requests now, and what they leave is sound";
        return new ReplayVerdict(false, $"no longer fails: {how}{(isConcurrent ? $" (concurrent requests: run {runsOfConcurrent} times)" : "")}");
    }

    /// <summary>A failure of the file's workload, yet without a state.</summary>
    public CrashFailure Failure(WorkloadRun? run) =>
        new(pipeline, _document.WorkloadIndex, _workload, new ExplorerSettings { Model = _document.Model, AtomBytes = _document.AtomBytes }) { Seed = _document.Seed, Run = run };

    private ReplayVerdict StillFails(CrashFailure failure, string how)
    {
        string what = failure.Invariant == _document.Invariant ? "still fails" : $"still fails, though now by {failure.Invariant.Number()} instead of {_document.Invariant.Number()}";
        return new ReplayVerdict(true, $"{what}, {how}: {failure.Message}") { Failure = failure };
    }

    private CrashFailure? JudgeRecorded(SavedScene scene)
    {
        WorkloadRun run = WorkloadRun.Restore(pipeline, scene.Start, scene.Trace, scene.History);
        CrashFailure failure = Failure(run);
        var cursor = new TraceCursor(scene.Start, scene.Trace, _document.Model, _document.AtomBytes);
        cursor.MoveTo(scene.Cut.Tick);
        CrashPoint point = cursor.Here();
        StateChoice choice = scene.Cut.ResolveAt(point) ?? throw new DiagnosticException(
            "SP6033", "the power cut in the replay file is not one that this version knows", $"tick {scene.Cut.Tick}", $"{scene.Cut.Slots} parts to decide about, as they are in the file", $"{point.Slots.Count} parts, or others",
            "replay it with the version of sphost that made it, or run the workload again with its seed");
        Progress();
        BrokenState? broken = StateExplorer.Try(point, choice, _document.Tier, _sight.JudgeFor(failure, run, budget));
        return broken is null ? null : failure with { State = broken };
    }

    private BrokenState? Explore(WorkloadRun run)
    {
        CrashFailure failure = Failure(run);
        var ledger = new StateLedger();
        StateJudge judge = _sight.ExploringJudge(failure, run, ledger, budget);
        void Judge(Media.Machine machine, long tick, Tier tier)
        {
            Progress();
            if (budget.TrySpend()) judge(machine, tick, tier);
        }

        return new StateExplorer(run.Start, run.Trace, failure.Settings, ledger)
            .Explore(run.History.TellingTicks, run.History.ObligationAt, Judge, Sight.SeededFor(failure), budget.Token, run.FirstTick).FirstOrDefault();
    }

    // The same requests at the same moments, up to the power cut; their bytes may hold other salts and times.
    private static bool IsSame(Trace recorded, Trace anew, long tick)
    {
        TraceEvent[] before = [.. recorded.Events.Where(entry => entry.Begin <= tick)];
        TraceEvent[] now = [.. anew.Events.Where(entry => entry.Begin <= tick)];
        return before.Length == now.Length && before.Zip(now).All(pair => pair.First.Kind == pair.Second.Kind && pair.First.Device == pair.Second.Device && pair.First.Begin == pair.Second.Begin
            && pair.First.Offset == pair.Second.Offset && pair.First.Length == pair.Second.Length && pair.First.IsForced == pair.Second.IsForced);
    }

    private void Progress() => Volatile.Write(ref _progress, Stopwatch.GetTimestamp());
}
