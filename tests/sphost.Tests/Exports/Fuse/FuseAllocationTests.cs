using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

/// <summary>Runs beside no other test: the figure is of the whole process.</summary>
[Collection(nameof(AloneCollection))]
public sealed class FuseAllocationTests
{
    [FuseFact]
    public void A_request_allocates_nothing()
    {
        using var mount = new TreeMount(new MemoryTree());
        mount.Python("put('f', bytes(1 << 20))");
        const int Requests = 20_000;
        long Rounds()
        {
            long before = GC.GetTotalAllocatedBytes(precise: true), writes = mount.Meter.Read().GuestWrites;
            mount.Python($"f = os.open('f', os.O_RDWR | os.O_DIRECT); b = mmap.mmap(-1, 4096)\nfor i in range({Requests / 2}): os.pwritev(f, [b], 4096 * (i % 256)); os.preadv(f, [b], 4096 * (i % 256))");
            Assert.Equal(Requests / 2, mount.Meter.Read().GuestWrites - writes);
            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }

        Rounds();
        // Starting Python allocates here, some tens of KiB; the runtime's own threads do now and then.
        Assert.InRange(Enumerable.Range(0, 5).Min(_ => Rounds()) / (double)Requests, 0, 10);
    }
}
