using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Workloads;
using StoragePlugins.Fsync;

namespace StoragePlugins.CrashKit.Tests.Stories;

public sealed class ShrinkerTests
{
    // The first fuzzed workloads: long ones.
    private const long Fuzzed = 33;

    [Fact]
    public void A_dropped_barrier_shrinks_to_one_write_and_one_lost_request()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)), failure => failure is { Invariant: Invariant.I3CheckIsClean, Workload.Steps.Count: > 5 }, first: Fuzzed);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.True(shrunk.WasSeenAgain && shrunk.IsComplete);
        Assert.Equal(Invariant.I3CheckIsClean, shrunk.Failure.Invariant);
        Assert.Equal(1, shrunk.Lost);
        // Before the first map table is durable there is another barrier, so that it takes a second write; both need no more than a sector.
        Assert.InRange(shrunk.Failure.Workload.Steps.Count, 1, 3);
        Assert.All(shrunk.Failure.Workload.Steps, step => Assert.InRange(Assert.Single(step).Length, 0, 512));
    }

    [Fact]
    public void Without_any_order_a_lost_flush_shrinks_to_a_write_and_its_flush()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new NoOrdering()), failure => failure.Invariant == Invariant.I4Durable);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.Equal(Invariant.I4Durable, shrunk.Failure.Invariant);
        Assert.Equal(1, shrunk.Lost);
        Assert.InRange(shrunk.Failure.Workload.Steps.Count, 0, 2);
    }

    [Fact]
    public void The_same_failure_shrinks_the_same_way_twice()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriers()), failure => failure.Workload.Steps.All(step => step.Count == 1), seed: 2, first: Fuzzed);

        ShrunkFailure once = Shrinker.Shrink(found), twice = Shrinker.Shrink(found);

        Assert.True(once.IsComplete);
        Assert.Equal(once.Trials, twice.Trials);
        Assert.Equal(once.Failure.Workload.Steps.Select(step => step[0]), twice.Failure.Workload.Steps.Select(step => step[0]));
        Assert.Equal(once.Failure.State!.Tick, twice.Failure.State!.Tick);
        Assert.Equal(once.Failure.State.Choice.Versions, twice.Failure.State.Choice.Versions);
    }

    [Fact]
    public void A_failure_that_takes_two_power_cuts_keeps_both_and_shrinks_the_second()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriersOnUsedImages()), failure => failure is { Tier: Tier.Continued, State.Second.Broken: not null });
        int before = found.State!.Second!.Continuation!.Steps.Count;

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.Equal(Invariant.I10GoesOn, shrunk.Failure.Invariant);
        Assert.True(shrunk.Failure.State!.Second!.Continuation!.Steps.Count < before);
        Assert.InRange(shrunk.Lost, 1, shrunk.LostBefore);
    }

    [Fact]
    public void A_failure_after_a_recovery_that_takes_no_recovery_is_told_with_one_power_cut()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)), failure => failure.State?.Second?.Broken?.Invariant == Invariant.I3CheckIsClean, first: Fuzzed);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.Equal(found.State!.Second!.Broken!.Invariant, shrunk.Failure.Invariant);
        Assert.Null(shrunk.Failure.State!.Second);
        Assert.Equal(1, shrunk.Lost);
    }

    [Fact]
    public void A_power_cut_inside_the_recovery_keeps_the_second_cut()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Journaled(new WithoutSyncInRecovery()), failure => failure.Tier == Tier.Recovery);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.True(shrunk.WasSeenAgain);
        Assert.Equal(found.Invariant, shrunk.Failure.Invariant);
        Assert.InRange(shrunk.Failure.Workload.Steps.Count, 0, found.Workload.Steps.Count);
        Assert.InRange(shrunk.Lost, 1, shrunk.LostBefore);
        Assert.NotNull(shrunk.Failure.State!.Second);
    }

    [Fact]
    public void What_goes_wrong_without_a_power_cut_shrinks_by_running_it_anew()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new LosingWrites(ContentClass.GuestData)), failure => failure is { Tier: Tier.Live, Workload.Steps.Count: > 5 }, first: Fuzzed);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.True(shrunk.WasSeenAgain);
        Assert.Equal(Tier.Live, shrunk.Failure.Tier);
        Assert.Equal(found.Invariant, shrunk.Failure.Invariant);
        Assert.InRange(shrunk.Failure.Workload.Steps.Count, 1, 3);
    }

    [Fact]
    public void What_is_not_seen_again_stays_as_it_was()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriers()));
        // As if it had depended on time: the recorded state is one that does no harm.
        CrashPoint point = Scene.FirstOf(found, Sight.Plain())!.PointAt(0);
        CrashFailure gone = found with { State = new BrokenState(0, point.Newest(point.LastEpochs()), Tier.Prefix, new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, "once")) };

        ShrunkFailure shrunk = Shrinker.Shrink(gone);

        Assert.False(shrunk.WasSeenAgain);
        Assert.Same(gone, shrunk.Failure);
    }

    [Fact]
    public void Concurrent_requests_are_taken_apart_or_kept_with_their_trace()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriers()), failure => failure.State is not null && failure.Workload.Steps.Any(step => step.Count > 1), first: Fuzzed);

        ShrunkFailure shrunk = Shrinker.Shrink(found);

        Assert.True(shrunk.WasSeenAgain);
        // Whatever became of it, its own recorded state fails.
        using var budget = new TrialBudget(new TrialLimits(), default);
        Assert.NotNull(Sight.Of(shrunk.Failure, null, budget));
    }

    [Theory]
    [InlineData(1, 10_000)]
    [InlineData(100_000, 5)]
    public void When_time_or_trials_run_out_what_was_found_so_far_is_given(long trials, int milliseconds)
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Journaled(new WithoutBarriers()), failure => failure.Workload.Steps.Count > 10, seed: 3, first: Fuzzed);
        long start = Environment.TickCount64;

        ShrunkFailure shrunk = Shrinker.Shrink(found, new TrialLimits { Trials = trials, Time = TimeSpan.FromMilliseconds(milliseconds) });

        Assert.InRange(Environment.TickCount64 - start, 0, 5_000);
        Assert.False(shrunk.IsComplete);
        Assert.Equal(found.Invariant, shrunk.Failure.Invariant);
    }

    [Fact]
    public void Giving_up_is_heard()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriers()));
        Assert.Throws<OperationCanceledException>(() => Shrinker.Shrink(found, cancellation: new CancellationToken(canceled: true)));
    }
}

public sealed class ReductionTests
{
    [Theory]
    [InlineData(new[] { 3 }, 1)]
    [InlineData(new[] { 0, 15 }, 2)]
    [InlineData(new[] { 2, 7, 8 }, 3)]
    [InlineData(new int[0], 0)]
    public void Nothing_can_be_left_out_of_what_is_left(int[] needed, int expected)
    {
        List<int> left = Reduction.Minimal([.. Enumerable.Range(0, 16)], some => needed.All(some.Contains));
        Assert.Equal(expected, left.Count);
        Assert.Equal(needed, left);
    }
}
