using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// Runs ever shorter workloads anew and explores them as the failing one was explored; keeps the shortest that breaks the same invariant. What was
/// found is always a run that was recorded and a state of it that was judged: a workload that depends on timing stays as it was where a shorter one does not happen to fail.
/// </summary>
internal sealed class WorkloadShrinker
{
    private const int SectorBytes = 512;

    private readonly CrashFailure _original;
    private readonly Sight? _sight;
    private readonly TrialBudget _budget;
    private CrashFailure _best;

    /// <summary>To shrink a failure.</summary>
    /// <param name="original">The failure.</param>
    /// <param name="sight">How its states are judged; null when it needed no power cut.</param>
    /// <param name="budget">Pays.</param>
    public WorkloadShrinker(CrashFailure original, Sight? sight, TrialBudget budget)
    {
        (_original, _sight, _budget) = (original, sight, budget);
        _best = original;
    }

    private PersistenceDomain Domain => _original.Run!.Start.FurtherTraits.Memory ?? PersistenceDomain.Adr;

    /// <summary>The smallest failure found; the original when none is smaller.</summary>
    public CrashFailure Shrink()
    {
        EndAtTheCut();
        OneAtATime();
        WithoutInjectedFailure();
        DropSteps();
        ShortenOperations();
        // Now that it is short: is there an earlier moment, and is what follows it needed?
        if (_original.State is not null && Attempt(_best.Workload, wholeTrace: true) is { } earliest) _best = earliest;
        if (EndAtTheCut()) DropSteps();
        return _best;
    }

    /// <summary>
    /// The failure that a workload after a recovery ran into, without the first power cut and the recovery: null when it takes them.
    /// </summary>
    public static CrashFailure? WithOneCut(CrashFailure failure, TrialBudget budget)
    {
        if (failure.State?.Second is not { Broken: { } broken, Run: { } run, Continuation: { } continuation }) return null;
        var alone = new CrashFailure(failure.Pipeline, failure.WorkloadIndex, continuation, failure.Settings) { Seed = failure.Seed, Run = run, State = broken };
        return new WorkloadShrinker(alone, Sight.Plain(), budget).Attempt(continuation, wholeTrace: true);
    }

    private bool Keep(Workload candidate, bool wholeTrace = false)
    {
        if (Attempt(candidate, wholeTrace) is not { } failure) return false;
        _best = failure;
        return true;
    }

    // Only the end of the trace is explored, unless asked otherwise: from the last operation on, which is where the failure was once the rest was cut off.
    private CrashFailure? Attempt(Workload workload, bool wholeTrace)
    {
        if (!_budget.TrySpend()) return null;
        WorkloadRun run = WorkloadRun.Execute(_original.Pipeline, workload, _original.Settings.Model, Domain);
        CrashFailure candidate = new CrashFailure(_original.Pipeline, _original.WorkloadIndex, workload, _original.Settings) { Seed = _original.Seed, Run = run };
        if (_original.State is null) return run.Problem?.Invariant == _original.Invariant ? candidate : null;
        if (run.Problem is not null) return null;
        if (SameAgain(run) is { } same) return candidate with { State = same };
        var ledger = new StateLedger();
        StateJudge judge = _sight!.ExploringJudge(_original, run, ledger, _budget);
        void Judge(Media.Machine machine, long tick, Tier tier)
        {
            if (_budget.TrySpend()) judge(machine, tick, tier);
        }

        long from = wholeTrace ? 0 : run.History.Operations.LastOrDefault(operation => operation.Number > 0)?.Span.Begin ?? 0;
        var explorer = new StateExplorer(run.Start, run.Trace, _original.Settings, ledger);
        BrokenState? broken = explorer.Explore(run.History.TellingTicks, run.History.ObligationAt, Judge, Sight.SeededFor(_original), _budget.Token, from)
            .FirstOrDefault(found => found.Invariant == _original.Invariant);
        return broken is null ? null : candidate with { State = broken };
    }

    // Where the requests up to the power cut are the same, so is what it can choose.
    private BrokenState? SameAgain(WorkloadRun run)
    {
        if (_best is not { Run: { } before, State: { } state } || _best.Settings != _original.Settings || !_budget.TrySpend()) return null;
        var cursor = new TraceCursor(before.Start, before.Trace, _original.Settings.Model, _original.Settings.AtomBytes);
        cursor.MoveTo(state.Tick);
        SavedCut cut = SavedCut.Of(cursor.Here(), state.Choice);
        if (run.Trace.Now < state.Tick || run.Start.Devices.Count != before.Start.Devices.Count) return null;
        cursor = new TraceCursor(run.Start, run.Trace, _original.Settings.Model, _original.Settings.AtomBytes);
        cursor.MoveTo(state.Tick);
        CrashPoint point = cursor.Here();
        if (cut.ResolveAt(point) is not { } choice) return null;
        BrokenState? broken = StateExplorer.Try(point, choice, state.Tier, _sight!.JudgeFor(_original, run, _budget));
        return broken?.Invariant == _original.Invariant ? broken : null;
    }

    // What the guest did not begin before the power went has no part in it: where the shorter workload does not happen to fail anew, the run that was recorded is as good.
    private bool EndAtTheCut()
    {
        long end = _best.State?.Tick ?? long.MaxValue;
        int operations = _best.Run!.History.Operations.Count(operation => operation.Number > 0 && operation.Span.Begin <= end), steps = 0;
        for (int counted = 0; steps < _best.Workload.Steps.Count && counted < operations; steps++) counted += _best.Workload.Steps[steps].Count;
        if (steps == _best.Workload.Steps.Count) return false;
        Workload shorter = With(_best.Workload.Steps.Take(steps));
        if (Keep(shorter)) return true;
        if (_best.State is null) return false;
        _best = new CrashFailure(_original.Pipeline, _original.WorkloadIndex, shorter, _original.Settings) { Seed = _original.Seed, Run = _best.Run, State = _best.State };
        return true;
    }

    // What fails without concurrency fails every time.
    private void OneAtATime()
    {
        if (_best.Workload.Steps.All(step => step.Count == 1)) return;
        if (Keep(With(_best.Workload.Steps.SelectMany(step => step.Select(operation => (IReadOnlyList<GuestOperation>)[operation]))))) return;
        for (int i = _best.Workload.Steps.Count - 1; i >= 0; i--)
        {
            IReadOnlyList<IReadOnlyList<GuestOperation>> steps = _best.Workload.Steps;
            if (steps[i].Count == 1) continue;
            foreach (GuestOperation only in steps[i]) if (Keep(With([.. steps.Take(i), [only], .. steps.Skip(i + 1)]))) break;
        }
    }

    private void WithoutInjectedFailure()
    {
        if (_best.Workload.Fault is not { } fault || Keep(_best.Workload with { Fault = null })) return;
        for (int earlier = 0; earlier < fault.Number; earlier++) if (Keep(_best.Workload with { Fault = fault with { Number = earlier } })) return;
    }

    private void DropSteps() => Reduction.Minimal(_best.Workload.Steps, steps => Keep(With(steps)));

    private void ShortenOperations()
    {
        for (int i = 0; i < _best.Workload.Steps.Count; i++)
        {
            for (int o = 0; o < _best.Workload.Steps[i].Count; o++)
            {
                GuestOperation operation = _best.Workload.Steps[i][o];
                if (!operation.ChangesRange || operation.Length <= SectorBytes) continue;
                if (Keep(WithLength(i, o, SectorBytes))) continue;
                for (long length = operation.Length / 2; length > SectorBytes && Keep(WithLength(i, o, length)); length /= 2)
                {
                }
            }
        }
    }

    private Workload WithLength(int step, int operation, long length)
    {
        GuestOperation[] changed = [.. _best.Workload.Steps[step]];
        changed[operation] = changed[operation] with { Length = length };
        return With([.. _best.Workload.Steps.Take(step), changed, .. _best.Workload.Steps.Skip(step + 1)]);
    }

    // Which steps only prepare is found anew.
    private Workload With(IEnumerable<IReadOnlyList<GuestOperation>> steps) => _best.Workload with { Steps = [.. steps], QuietSteps = 0 };
}
