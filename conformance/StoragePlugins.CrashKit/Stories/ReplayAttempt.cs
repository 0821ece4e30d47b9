using System.Diagnostics;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Faults;
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

    public ReplayVerdict Run(int mostRuns)
    {
        CrashFailure? recorded = file.Scene is null ? null : JudgeRecorded(file.Scene);
        var runs = new List<WorkloadRun>();
        bool isAsRecorded = false;
        // Twice the same is taken for what it always does.
        while (runs.Count < mostRuns && !budget.IsSpent && !(isAsRecorded || (runs.Count >= 2 && IsSame(runs[^2].Trace, runs[^1].Trace, long.MaxValue))))
        {
            Progress();
            WorkloadRun run = WorkloadRun.Execute(pipeline, _workload, _document.Model, _document.Domain);
            runs.Add(run);
            if (run.Problem is not null) return StillFails(Failure(run), "without a power cut");
            if (file.Scene is { } scene && IsSame(scene.Trace, run.Trace, scene.Cut.Tick))
            {
                isAsRecorded = true;
                if (Judge(run, scene.Cut) is { } again) return StillFails(again, "in the recorded state");
            }

            if (file.Scene is null && !_document.IsHang) continue;
            if (Explore(run) is { } broken) return StillFails(broken, isAsRecorded ? "in another state" : "the strategy makes other requests now, which do not survive either");
        }

        return NotSeen(recorded, isAsRecorded, runs);
    }

    private ReplayVerdict NotSeen(CrashFailure? recorded, bool isAsRecorded, List<WorkloadRun> runs)
    {
        if (budget.IsSpent && recorded is not null) return Undecided(recorded, "there was no time to see whether the strategy can still get there");
        if (isAsRecorded) return new ReplayVerdict(false, "no longer fails: the strategy makes the same requests, and recovers what they leave");
        if (file.Scene is null) return new ReplayVerdict(false, $"no longer fails: the workload runs through ({runs.Count} runs)");
        bool isRepeatable = runs.Count >= 2 && IsSame(runs[^2].Trace, runs[^1].Trace, long.MaxValue);
        return recorded is not null && !isRepeatable
            ? Undecided(recorded, $"which requests the strategy makes depends on timing, and none of {runs.Count} runs failed")
            : new ReplayVerdict(false, "no longer fails: the strategy makes other requests now, and what they leave is sound");
    }

    /// <summary>A failure of the file's workload, yet without a state.</summary>
    public CrashFailure Failure(WorkloadRun? run) =>
        new(pipeline, _document.WorkloadIndex, _workload, new ExplorerSettings { Model = _document.Model, AtomBytes = _document.AtomBytes }) { Seed = _document.Seed, Run = run };

    private ReplayVerdict StillFails(CrashFailure failure, string how)
    {
        string what = failure.Invariant == _document.Invariant ? "still fails" : $"still fails, though now by {failure.Invariant.Number()} instead of {_document.Invariant.Number()}";
        return new ReplayVerdict(true, $"{what}, {how}: {failure.Message}") { Failure = failure };
    }

    private static ReplayVerdict Undecided(CrashFailure recorded, string why) =>
        new(true, $"still fails in the recorded state, though {why}: {recorded.Message}") { Failure = recorded, IsCertain = false };

    private CrashFailure? JudgeRecorded(SavedScene scene)
    {
        CrashPoint point = PointOf(scene.Start, scene.Trace, scene.Cut.Tick);
        if (scene.Cut.ResolveAt(point) is not null) return Judge(WorkloadRun.Restore(pipeline, scene.Start, scene.Trace, scene.History), scene.Cut);
        throw new DiagnosticException(
            "SP6033", "the power cut in the replay file is not one that this version knows", $"tick {scene.Cut.Tick}", $"{scene.Cut.Slots} parts to decide about, as they are in the file", $"{point.Slots.Count} parts, or others",
            "replay it with the version of sphost that made it, or run the workload again with its seed");
    }

    private CrashFailure? Judge(WorkloadRun run, SavedCut cut)
    {
        CrashPoint point = PointOf(run.Start, run.Trace, cut.Tick);
        if (cut.ResolveAt(point) is not { } choice) return null;
        CrashFailure failure = Failure(run);
        Progress();
        if (_document.Damage is { } damage)
        {
            var trial = new FaultTrial(pipeline, run);
            return trial.Prepare(point, choice) is { } sound && trial.Try(point, choice, sound, damage.ToDamage()).Finding is { } found ? failure with { Fault = found, State = found.State } : null;
        }

        BrokenState? broken = StateExplorer.Try(point, choice, _document.Tier, _sight.JudgeFor(failure, run, budget));
        return broken is null ? null : failure with { State = broken };
    }

    private CrashPoint PointOf(Media.Machine start, Trace trace, long tick)
    {
        var cursor = new TraceCursor(start, trace, _document.Model, _document.AtomBytes);
        cursor.MoveTo(tick);
        return cursor.Here();
    }

    private CrashFailure? Explore(WorkloadRun run)
    {
        CrashFailure failure = Failure(run);
        var ledger = new StateLedger();
        if (_document.Damage is not null)
        {
            var faults = new FaultExplorer(pipeline, run, failure.Settings, ledger, new FaultTally(), Sight.SeededFor(failure), budget.Token);
            FaultFinding? found = faults.Explore((_, work) =>
            {
                Progress();
                if (budget.TrySpend()) work();
            }).FirstOrDefault();
            return found is null ? null : failure with { Fault = found, State = found.State };
        }

        StateJudge judge = _sight.ExploringJudge(failure, run, ledger, budget);
        void Judge(Media.Machine machine, long tick, Tier tier)
        {
            Progress();
            if (budget.TrySpend()) judge(machine, tick, tier);
        }

        BrokenState? broken = new StateExplorer(run.Start, run.Trace, failure.Settings, ledger)
            .Explore(run.History.TellingTicks, run.History.ObligationAt, Judge, Sight.SeededFor(failure), budget.Token, run.FirstTick).FirstOrDefault();
        return broken is null ? null : failure with { State = broken };
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
