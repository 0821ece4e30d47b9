using StoragePlugins.BarrierFS.Deferred;

namespace StoragePlugins.BarrierFS.Tests;

/// <summary>Runs beside no other test: the figure is of the whole process, the background thread included.</summary>
[Collection(nameof(AloneCollection))]
public sealed class AllocationTests
{
    [Fact]
    public void Steady_state_allocates_nothing_per_request()
    {
        var medium = new WatchedMedium { Log = null };
        using IOrderedMedium ordered = Attach.With(medium, BarrierMode.Deferred, queue: 64 << 20);
        byte[] data = new byte[64 << 10];
        void Round(int i, bool flush)
        {
            ordered.Write((i % 16) * data.Length, data, ContentClass.GuestData);
            ordered.Barrier();
            for (int j = 0; j < 8; j++) ordered.Write((2 << 20) + (j * 4096), data.AsSpan(0, 8), ContentClass.Map);
            ordered.Write(0, data, ContentClass.GuestData);
            ordered.Read(2 << 20, data);
            if (flush) ordered.Flush();
        }

        // As much as can ever be held, then some rounds as they are measured.
        medium.SyncGate.Reset();
        for (int i = 0; i < DeferredMedium.MaxClosedEpochs - 1; i++) Round(i, flush: false);
        medium.SyncGate.Set();
        for (int i = 0; i < 200; i++) Round(i, i % 3 == 0);
        ordered.Flush();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        const int rounds = 2000;
        for (int i = 0; i < rounds; i++) Round(i, i % 3 == 0);
        ordered.Flush();
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        // The runtime's own threads allocate a few KiB now and then; one small object a barrier would be twice this bound.
        const int requests = rounds * 12;
        Assert.True(allocated < requests, $"{allocated} bytes in {requests} requests");
    }
}

/// <summary>Tests that measure the process.</summary>
[CollectionDefinition(nameof(AloneCollection), DisableParallelization = true)]
public sealed class AloneCollection;
