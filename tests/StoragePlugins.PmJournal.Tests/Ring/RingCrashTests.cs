using StoragePlugins.PmJournal.Ring;
using Xunit.Abstractions;

namespace StoragePlugins.PmJournal.Tests.Ring;

public sealed class RingCrashTests(ITestOutputHelper output)
{
    private static readonly RecordSeal s_seal = new(Guid.Parse("00000000-0000-0000-0000-000000000001"), Guid.Parse("00000000-0000-0000-0000-000000000002"), 7);

    [Theory]
    [InlineData(PersistenceDomain.Adr)]
    [InlineData(PersistenceDomain.Msync)]
    public void Acknowledged_records_survive_and_others_are_there_in_full_or_not_at_all(PersistenceDomain domain)
    {
        int states = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var workload = new RingWorkload(new CrashMemory(4096, domain), s_seal);
            workload.Run(60, new Random(seed), statesPerMoment: 12);
            Assert.True(workload.Failure is null, $"seed {seed}: {workload.Failure}");
            states += workload.States;
        }

        output.WriteLine($"{domain}: {states} crash states");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(PmRing.LineContentBytes)]
    [InlineData(PmRing.LineContentBytes + 1)]
    [InlineData(100)]
    public void Every_crash_state_of_one_small_record_is_all_or_nothing(int length)
    {
        foreach (PersistenceDomain domain in new[] { PersistenceDomain.Adr, PersistenceDomain.Msync })
        {
            byte[] content = new byte[length];
            new Random(length).NextBytes(content);
            var workload = new RingWorkload(new CrashMemory(1024, domain), s_seal);
            workload.RunExhaustively(content);
            Assert.Null(workload.Failure);
            Assert.True(workload.States > 256, $"{workload.States} states");
        }
    }

    [Fact]
    public void Short_record_costs_one_fence_and_a_long_one_two()
    {
        var memory = new CrashMemory(4096, PersistenceDomain.Adr);
        var ring = new PmRing(memory, 0, 4096, s_seal, writtenByMsync: false);
        ring.Initialize(1);
        int before = memory.Fences;
        ring.Append(new byte[PmRing.LineContentBytes]);
        Assert.Equal(1, memory.Fences - before);
        ring.Append(new byte[PmRing.LineContentBytes + 1]);
        Assert.Equal(3, memory.Fences - before);
    }

    [Fact]
    public void Mutant_that_leaves_out_every_fence_is_found() => Found(() => new RingWorkload(new WithoutFence(every: 1), s_seal));

    [Fact]
    public void Mutant_that_leaves_out_every_third_fence_is_found() => Found(() => new RingWorkload(new WithoutFence(every: 3), s_seal));

    [Fact]
    public void Mutant_that_stores_the_commit_mark_first_is_found() => Found(() => new RingWorkload(new MarkFirst(), s_seal));

    [Fact]
    public void Mutant_that_ignores_the_checksum_is_found() => Found(() => new RingWorkload(new CrashMemory(4096, PersistenceDomain.Adr), new WithoutChecksum()));

    [Fact]
    public void Mutant_that_stores_in_cache_and_does_not_flush_is_found() => Found(() => new RingWorkload(new WithoutFlush(), s_seal));

    private void Found(Func<RingWorkload> mutant)
    {
        for (int seed = 0; seed < 60; seed++)
        {
            RingWorkload workload = mutant();
            workload.Run(60, new Random(seed), statesPerMoment: 12);
            if (workload.Failure is null) continue;
            output.WriteLine($"seed {seed}, {workload.States} states: {workload.Failure}");
            return;
        }

        Assert.Fail("no crash state showed it");
    }

    /// <summary>A fence left out.</summary>
    private sealed class WithoutFence(int every) : CrashMemory(4096, PersistenceDomain.Adr)
    {
        private int _fence;

        public override void Fence()
        {
            if (++_fence % every == 0) BeforeFence?.Invoke();
            else base.Fence();
        }
    }

    /// <summary>The body of a marked record follows its mark, each with a fence of its own.</summary>
    private sealed class MarkFirst() : CrashMemory(4096, PersistenceDomain.Adr)
    {
        private readonly List<(long Offset, byte[] Data)> _held = [];
        private bool _isHolding;

        public override void StoreNonTemporal(long offset, ReadOnlySpan<byte> data)
        {
            // A first line with an empty mark begins a body.
            if (!_isHolding && data.Length == 64 && data[..8].IndexOfAnyExcept((byte)0) < 0) _isHolding = true;
            if (_isHolding) _held.Add((offset, data.ToArray()));
            else base.StoreNonTemporal(offset, data);
        }

        public override void Fence()
        {
            if (_isHolding && _held.FindLastIndex(store => store.Offset == _held[0].Offset) is int mark && mark > 0)
            {
                (long offset, byte[] data) = _held[mark];
                base.StoreNonTemporal(offset, data);
                base.Fence();
                _held.RemoveAt(mark);
                foreach ((long at, byte[] bytes) in _held.Skip(1)) base.StoreNonTemporal(at, bytes);
                _held.Clear();
                _isHolding = false;
            }

            base.Fence();
        }
    }

    /// <summary>Stores that should pass the cache stay in it.</summary>
    private sealed class WithoutFlush() : CrashMemory(4096, PersistenceDomain.Adr)
    {
        public override void StoreNonTemporal(long offset, ReadOnlySpan<byte> data) => Store(offset, data);
    }

    private sealed class WithoutChecksum() : RecordSeal(Guid.Empty, Guid.Empty, 7)
    {
        public override uint Checksum(ulong a, ulong b, ReadOnlySpan<byte> bytes) => 0x1234;
    }
}
