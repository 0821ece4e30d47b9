using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>How thoroughly states must be judged for a failure to be seen: thorough judging costs many times as much.</summary>
internal sealed class Sight
{
    private static readonly JudgeDepth Readings = JudgeDepth.Bare with { ReadOnlyEvery = 1, RereadEvery = 1 };

    // Every third state with a second power cut: where a workload is explored whole, that finds a failure that is not a rare one.
    private const int NestedEvery = 3;

    private readonly JudgeDepth _depth;
    private readonly RememberedCut? _remembered;
    private (WorkloadRun Run, StateJudge Judge)? _plain;

    private Sight(JudgeDepth depth, RememberedCut? remembered) => (_depth, _remembered) = (depth, remembered);

    /// <summary>Sees what recovery, reading and the check of a state show.</summary>
    public static Sight Plain() => new(JudgeDepth.Bare, null);

    /// <summary>The cheapest that sees a failure.</summary>
    /// <param name="failure">The failure.</param>
    /// <param name="foreign">The second opinion of the run that found it; null for none.</param>
    /// <param name="budget">Pays.</param>
    /// <returns>Null when the failure is not seen again.</returns>
    public static Sight? Of(CrashFailure failure, IForeignReader? foreign, TrialBudget budget)
    {
        if (failure is not { Run: { } run, State: { } state }) return null;
        RememberedCut? remembered = RememberedCut.Of(state.Second, failure.Settings);
        foreach (JudgeDepth depth in DepthsFor(remembered, foreign))
        {
            var sight = new Sight(depth, remembered);
            var cursor = new TraceCursor(run.Start, run.Trace, failure.Settings.Model, failure.Settings.AtomBytes);
            cursor.MoveTo(state.Tick);
            if (!budget.TrySpend()) return null;
            if (StateExplorer.Try(cursor.Here(), state.Choice, state.Tier, sight.JudgeFor(failure, run, budget))?.Invariant == failure.Invariant) return sight;
        }

        return null;
    }

    /// <summary>The most thorough one for failures of a kind.</summary>
    public static Sight Of(RememberedCut? remembered, IForeignReader? foreign) => new(DepthsFor(remembered, foreign).Last(), remembered);

    /// <summary>The same for another guest's work after the recovery, of which any power cut may be the second one.</summary>
    public Sight WithContinuation(Workload continuation) => new(_depth, new RememberedCut(Tier.Continued, null, continuation));

    /// <summary>A judge of single states, each seen in full and alike however often it is judged.</summary>
    public StateJudge JudgeFor(CrashFailure failure, WorkloadRun run, TrialBudget budget)
    {
        if (_plain is { } plain && plain.Run == run) return plain.Judge;
        StateJudge judge = new PipelineJudge(failure.Pipeline, run, failure.Settings, new StateLedger(), _depth, SeededFor(failure), budget.Token) { Remembered = _remembered }.Judge;
        // A second power cut is sought among states that were not tried before: such a judge begins each trial with an empty memory.
        if (_remembered is null) _plain = (run, judge);
        return judge;
    }

    /// <summary>A judge for the exploration of a whole workload.</summary>
    public StateJudge ExploringJudge(CrashFailure failure, WorkloadRun run, StateLedger ledger, TrialBudget budget)
    {
        JudgeDepth depth = _depth with { RecoveryEvery = _depth.RecoveryEvery * NestedEvery, ContinueEvery = _depth.ContinueEvery * NestedEvery };
        return new PipelineJudge(failure.Pipeline, run, failure.Settings, ledger, depth, SeededFor(failure), budget.Token) { Remembered = _remembered }.Judge;
    }

    /// <summary>Random numbers that depend on the failure's seed and workload alone.</summary>
    public static Random SeededFor(CrashFailure failure) => WorkloadPlan.Seeded(failure.Seed, failure.WorkloadIndex, salt: 3);

    private static IEnumerable<JudgeDepth> DepthsFor(RememberedCut? remembered, IForeignReader? foreign)
    {
        yield return remembered?.Tier switch
        {
            null => JudgeDepth.Bare,
            Tier.Recovery => JudgeDepth.Bare with { RecoveryEvery = 1 },
            _ => JudgeDepth.Bare with { ContinueEvery = 1 },
        };
        if (remembered is not null) yield break;
        yield return Readings;
        if (foreign is not null) yield return Readings with { Foreign = foreign, ForeignEvery = 1 };
    }
}
