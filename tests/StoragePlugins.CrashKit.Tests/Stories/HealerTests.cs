using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;

namespace StoragePlugins.CrashKit.Tests.Stories;

public sealed class HealerTests
{
    [Fact]
    public void A_dropped_barrier_is_named_where_it_was_dropped()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)), failure => failure.Invariant == Invariant.I3CheckIsClean);

        Healing healing = Healer.Suggest(Shrinker.Shrink(found).Failure);

        Assert.Equal(HealingKind.Flush, healing.Kind);
        Assert.Equal(ContentClass.Allocation, healing.After!.Content);
        Assert.Equal(ContentClass.Map, healing.Before!.Content);
        Assert.StartsWith($"a flush between {healing.After} and {healing.Before}", healing.Text, StringComparison.Ordinal);
        Assert.False(healing.IsOfSecondCut);
    }

    [Fact]
    public void On_a_disk_that_keeps_barriers_a_barrier_is_enough()
    {
        CrashFailure found = BrokenStrategies.FailureOf(
            BrokenStrategies.Ordered(new DeviceBarriers(leftOutAfter: ContentClass.Allocation)), failure => failure.Invariant == Invariant.I3CheckIsClean, PersistenceModel.Barrier);

        Healing healing = Healer.Suggest(Shrinker.Shrink(found).Failure);

        Assert.Equal(HealingKind.Barrier, healing.Kind);
        Assert.Equal(ContentClass.Allocation, healing.After!.Content);
        Assert.Equal(ContentClass.Map, healing.Before!.Content);
    }

    [Fact]
    public void A_flush_that_was_acknowledged_and_not_made_is_missing_behind_the_last_write()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new Fsync.NoOrdering()), failure => failure.Invariant == Invariant.I4Durable);

        Healing healing = Healer.Suggest(Shrinker.Shrink(found).Failure);

        Assert.Equal(HealingKind.Flush, healing.Kind);
        Assert.NotNull(healing.After);
    }

    [Fact]
    public void The_work_after_a_recovery_is_healed_in_its_own_requests()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriersOnUsedImages()), failure => failure is { Tier: Tier.Continued, State.Second.Broken: not null });

        Healing healing = Healer.Suggest(Shrinker.Shrink(found).Failure);

        Assert.Equal(HealingKind.Flush, healing.Kind);
        Assert.True(healing.IsOfSecondCut);
    }

    [Fact]
    public void A_wrong_write_is_not_called_a_missing_flush()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new LosingWrites(ContentClass.Allocation)), failure => failure.State is not null);

        Healing healing = Healer.Suggest(Shrinker.Shrink(found).Failure);

        Assert.Equal(HealingKind.Nothing, healing.Kind);
        Assert.Contains("not for want of a flush", healing.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_power_cut_no_flush_is_looked_for()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new LosingWrites(ContentClass.GuestData)), failure => failure.Tier == Tier.Live);
        Assert.Equal(HealingKind.Nothing, Healer.Suggest(found).Kind);
    }

    [Fact]
    public void A_missing_fence_of_mapped_memory_is_told_from_missing_line_flushes()
    {
        // A record, whose lines are or are not flushed, and a commit mark that another fence makes durable.
        Assert.Equal(HealingKind.Fence, HealCommit(PersistenceDomain.Adr, flushesLines: true).Kind);
        Assert.Equal(HealingKind.LineFlush, HealCommit(PersistenceDomain.Adr, flushesLines: false).Kind);
        Assert.Equal(HealingKind.Msync, HealCommit(PersistenceDomain.Msync, flushesLines: false).Kind);
    }

    [Fact]
    public void When_the_time_is_up_nothing_is_claimed()
    {
        Healing healing = HealCommit(PersistenceDomain.Adr, flushesLines: true, trials: 1);
        Assert.Equal(HealingKind.Nothing, healing.Kind);
        Assert.Contains("time", healing.Text, StringComparison.Ordinal);
    }

    private static Healing HealCommit(PersistenceDomain domain, bool flushesLines, int trials = 10_000)
    {
        const int MarkAt = 8192;
        var machine = new Machine(new byte[16384], new DeviceTraits { Memory = domain });
        var trace = new Trace();
        trace.Add(TraceKind.Store, 0, 0, 8, new byte[] { 1, 1, 1, 1, 1, 1, 1, 1 });
        if (flushesLines) trace.Add(TraceKind.FlushLines, 0, 0, 8);
        TraceEvent mark = trace.Add(TraceKind.Store, 0, MarkAt, 8, new byte[] { 2, 2, 2, 2, 2, 2, 2, 2 });
        static void Judge(Machine machine, long tick, Tier tier)
        {
            byte[] image = machine.Devices[0].Image.ToArray();
            if (image[MarkAt] == 2 && image[0] != 1) throw new InvariantBrokenException(Invariant.I7Atomic, "committed without its record");
        }

        var settings = new ExplorerSettings { Model = PersistenceModel.Pm, VariesOnlyWhatIsRead = false };
        var explorer = new StateExplorer(machine, trace, settings, new StateLedger());
        BrokenState broken = explorer.Explore([], static _ => 0, Judge, new Random(1), default).First();
        Assert.True(broken.Tick >= mark.Begin);
        using var budget = new TrialBudget(new TrialLimits { Trials = trials }, default);
        return Healer.Suggest(new Scene(machine, trace, settings, broken, [], _ => Judge), budget);
    }
}
