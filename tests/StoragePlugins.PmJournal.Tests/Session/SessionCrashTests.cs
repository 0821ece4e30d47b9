using StoragePlugins.PmJournal.Region;
using StoragePlugins.PmJournal.Ring;
using StoragePlugins.PmJournal.Tests.Ring;
using Xunit.Abstractions;

namespace StoragePlugins.PmJournal.Tests.Session;

public sealed class SessionCrashTests(ITestOutputHelper output)
{
    // Small, so that the ring is full and starts new laps all the time.
    private const int RegionBytes = RegionHeader.AreaBytes + (16 << 10);

    [Theory]
    [InlineData(PersistenceDomain.Adr)]
    [InlineData(PersistenceDomain.Msync)]
    public void Acknowledged_writes_and_transactions_survive_any_crash_and_others_are_all_or_nothing(PersistenceDomain domain)
    {
        int states = 0;
        for (int seed = 0; seed < 40; seed++)
        {
            var workload = new SessionWorkload(new CrashMemory(RegionBytes, domain), new Random(seed), statesPerMoment: 3);
            workload.Run(60);
            Assert.True(workload.Failure is null, $"seed {seed}: {workload.Failure}");
            states += workload.States;
        }

        output.WriteLine($"{domain}: {states} crash states");
        Assert.True(states > 10_000, $"{states}");
    }

    [Fact]
    public void Mutant_that_leaves_out_the_flush_before_the_record_is_found() => Found(seed =>
    {
        var workload = new SessionWorkload(new CrashMemory(RegionBytes, PersistenceDomain.Adr), new Random(seed), statesPerMoment: 3);
        workload.Home.IgnoresFlushes = true;
        return workload;
    });

    [Fact]
    public void Mutant_that_writes_home_before_the_record_is_durable_is_found() =>
        Found(seed => new SessionWorkload(new WithoutFence(), new Random(seed), statesPerMoment: 3));

    [Fact]
    public void Mutant_that_keeps_old_records_after_a_flush_is_found() => Found(seed =>
    {
        var memory = new WithoutTail();
        var workload = new SessionWorkload(memory, new Random(seed), statesPerMoment: 3);
        memory.IgnoresTail = true;
        return workload;
    });

    private void Found(Func<int, SessionWorkload> mutant)
    {
        for (int seed = 0; seed < 40; seed++)
        {
            SessionWorkload workload = mutant(seed);
            workload.Run(60);
            if (workload.Failure is null) continue;
            output.WriteLine($"seed {seed}, {workload.States} states: {workload.Failure}");
            return;
        }

        Assert.Fail("no crash state showed it");
    }

    /// <summary>The tail stays where it was: a replay undoes what was flushed since.</summary>
    private sealed class WithoutTail() : CrashMemory(RegionBytes, PersistenceDomain.Adr)
    {
        public bool IgnoresTail { get; set; }

        public override void StoreNonTemporal(long offset, ReadOnlySpan<byte> data)
        {
            bool isTail = offset is >= RegionHeader.AreaBytes and < RegionHeader.AreaBytes + (2 * PmRing.LineBytes);
            if (!isTail || !IgnoresTail) base.StoreNonTemporal(offset, data);
        }
    }

    private sealed class WithoutFence() : CrashMemory(RegionBytes, PersistenceDomain.Adr)
    {
        public override void Fence() => BeforeFence?.Invoke();
    }
}
