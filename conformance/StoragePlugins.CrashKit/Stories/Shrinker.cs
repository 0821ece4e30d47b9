using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>Makes a failure small enough to be understood: the least guest, the least lost.</summary>
/// <remarks>The same failure gives the same result unless the time runs out or the workload's requests run at once.</remarks>
public static class Shrinker
{
    // Of what may be tried, for the workload; a state can be made small with what is left, whatever became of the workload.
    private const double ForTheWorkload = 0.7;

    // For the work after a recovery without the recovery.
    private const double ForOneCut = 0.2;

    /// <summary>Shrinks a failure. Blocks; bounded.</summary>
    /// <param name="failure">Found by a <see cref="CrashTest"/>, or read from a replay file.</param>
    /// <param name="limits">How long to try; null for ten seconds.</param>
    /// <param name="foreign">The second opinion of the run that found it; without it a failure that only it sees stays as it is.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>
    /// The smallest failure found that breaks the same invariant; the failure itself when nothing smaller does. Of a failure in the work after a recovery that takes no recovery, the failure
    /// of that work alone: then it breaks what was broken there.
    /// </returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ShrunkFailure Shrink(CrashFailure failure, TrialLimits? limits = null, IForeignReader? foreign = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(failure);
        // What hangs would hang here too; what never ended has no trace; damage goes with the bytes that it hit.
        if (failure.Hang is not null || failure.Run is null || failure.Fault is not null) return ShrunkFailure.Unshrunk(failure);
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        using var budget = new TrialBudget(limits ?? new TrialLimits(), cancellation);
        Sight? sight = Sight.Of(failure, foreign, budget);
        if (failure.State is not null && sight is null) return ShrunkFailure.Unshrunk(failure) with { Trials = budget.Spent };
        CrashFailure least = WithLessWork(failure, ref sight, foreign, budget, out bool isComplete);
        // The second power cut of a shorter workload is another one.
        if (!ReferenceEquals(least, failure)) sight = Sight.Of(least, foreign, budget) ?? sight;
        if (Scene.FirstOf(least, sight ?? Sight.Plain()) is { } first) least = least with { State = new StateShrinker(first, budget).Shrink() };
        if (least.State?.Second?.Continuation is not null) least = ShortenContinuation(least, sight!, budget);
        if (Scene.SecondOf(least) is { } second)
        {
            BrokenState state = new StateShrinker(second, budget).Shrink();
            least = least with { State = least.State! with { Second = least.State.Second! with { Broken = state } } };
        }

        return new ShrunkFailure
        {
            Failure = least,
            Original = failure,
            WasSeenAgain = failure.State is not null || !ReferenceEquals(least, failure),
            IsComplete = isComplete && !budget.IsSpent,
            LostBefore = Lost(failure),
            Lost = Lost(least),
            Trials = budget.Spent,
            Elapsed = System.Diagnostics.Stopwatch.GetElapsedTime(start),
        };
    }

    private static CrashFailure WithLessWork(CrashFailure failure, ref Sight? sight, IForeignReader? foreign, TrialBudget budget, out bool isComplete)
    {
        CrashFailure least = failure;
        using (TrialBudget part = budget.Part(ForOneCut))
        {
            if (WorkloadShrinker.WithOneCut(failure, part) is { } withOneCut && Sight.Of(withOneCut, foreign, budget) is { } simpler) (least, sight) = (withOneCut, simpler);
        }

        using (TrialBudget part = budget.Part(ForTheWorkload))
        {
            least = new WorkloadShrinker(least, sight, part).Shrink();
            isComplete = !part.IsSpent;
        }

        return least;
    }

    // What the guest did between the two power cuts.
    private static CrashFailure ShortenContinuation(CrashFailure failure, Sight sight, TrialBudget budget)
    {
        Workload continuation = failure.State!.Second!.Continuation!;
        Reduction.Minimal(continuation.Steps, steps =>
        {
            Scene scene = Scene.FirstOf(failure, sight.WithContinuation(continuation with { Steps = [.. steps] }))!;
            if (scene.Try(scene.PointAt(scene.Broken.Tick), scene.Broken.Choice, budget) is not { } broken) return false;
            failure = failure with { State = broken };
            return true;
        });
        return failure;
    }

    private static int Lost(CrashFailure failure)
    {
        int lost = 0;
        if (Scene.FirstOf(failure, Sight.Plain()) is { } first) lost += StateShrinker.Deviations(first.PointAt(first.Broken.Tick), first.Broken.Choice);
        if (Scene.SecondOf(failure) is { } second) lost += StateShrinker.Deviations(second.PointAt(second.Broken.Tick), second.Broken.Choice);
        return lost;
    }
}

/// <summary>What shrinking made of a failure.</summary>
public sealed record ShrunkFailure
{
    /// <summary>The smallest failure found.</summary>
    public required CrashFailure Failure { get; init; }

    /// <summary>The failure as it was found.</summary>
    public required CrashFailure Original { get; init; }

    /// <summary>It was seen again at all; false for what depends on time or on a program that is not here.</summary>
    public required bool WasSeenAgain { get; init; }

    /// <summary>Neither time nor trials ran out: no single step, request or sector can be left out.</summary>
    public required bool IsComplete { get; init; }

    /// <summary>How many sectors, words or lengths the state had lost.</summary>
    public int LostBefore { get; init; }

    /// <summary>How many it has lost now.</summary>
    public int Lost { get; init; }

    /// <summary>States judged and workloads run on the way.</summary>
    public long Trials { get; init; }

    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; init; }

    internal static ShrunkFailure Unshrunk(CrashFailure failure) => new() { Failure = failure, Original = failure, WasSeenAgain = false, IsComplete = false };
}
