using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Disks;

/// <summary>Barriers of a served disk: what they cost, and what they meet.</summary>
public class GuestBarrierTests
{
    [Fact]
    public void A_barrier_with_nothing_new_to_order_costs_nothing()
    {
        var disk = new MemoryDisk { HasBarriers = true };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        served.Barrier(); // what an earlier process wrote may be in no order yet
        Assert.Equal(1, disk.Barriers);
        served.Barrier();
        Assert.Equal(1, disk.Barriers);
        served.Write(0, [1]);
        served.Barrier();
        Assert.Equal(2, disk.Barriers);
        Assert.True(served.TryWrite(0, [2]));
        served.Flush();
        served.Barrier(); // durable is in order
        Assert.Equal(2, disk.Barriers);
        served.WriteZeroes(0, 512, mayUnmap: true);
        served.Barrier();
        served.Discard(0, 512);
        served.Barrier();
        Assert.Equal(4, disk.Barriers);
        Assert.Equal(6, served.Meter.Read().GuestBarriers);
    }

    [Fact]
    public void A_disk_that_cannot_order_says_so_and_does_not_pretend()
    {
        using var without = new ServedDisk("disk", new MemoryDisk(), new StorageMeter());
        Assert.False(without.CanOrder);
        Assert.Null(without.GetCapability<IBarrierDisk>());
        Assert.Equal(StorageError.NotSupported, Assert.Throws<StorageException>(without.Barrier).Error);
        without.Write(0, [1]);
        without.Flush();

        using var readOnly = new ServedDisk("disk", new MemoryDisk { HasBarriers = true, IsReadOnly = true }, new StorageMeter());
        Assert.False(readOnly.CanOrder);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(readOnly.Barrier).Error);
        Assert.Equal(0, without.Meter.Read().GuestBarriers + readOnly.Meter.Read().GuestBarriers);
    }

    [Fact]
    public void A_barrier_that_failed_has_ordered_nothing()
    {
        var disk = new MemoryDisk { HasBarriers = true, BarrierFailure = () => new StorageException(StorageError.NoSpace, "barrier", "disk", -1, 0, "full") };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        served.Write(0, [1]);
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(served.Barrier).Error);
        disk.BarrierFailure = () => null;
        served.Barrier();
        Assert.Equal(2, disk.Barriers);
        Assert.Null(served.Poison);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Lost_order_is_final_for_writes_flushes_and_barriers(bool isTold)
    {
        Exception failure = isTold ? new DurabilityLostException("barrier", "disk", "gone") : new InvalidOperationException("a bug");
        var disk = new MemoryDisk { HasBarriers = true, BarrierFailure = () => failure };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Assert.Throws<DurabilityLostException>(served.Barrier);
        Assert.NotNull(served.Poison);
        Assert.Throws<DurabilityLostException>(() => served.Write(0, [1]));
        Assert.Throws<DurabilityLostException>(served.Flush);
        Assert.Throws<DurabilityLostException>(served.Barrier);
        served.Read(0, new byte[1]);
        Assert.Equal((1, 0), (disk.Barriers, disk.Flushes));
    }

    [Fact]
    public void A_lost_flush_is_final_for_barriers()
    {
        var disk = new MemoryDisk { HasBarriers = true, FlushFailure = () => new DurabilityLostException("flush", "disk", "gone") };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Assert.Throws<DurabilityLostException>(served.Flush);
        Assert.Throws<DurabilityLostException>(served.Barrier);
        Assert.Equal(0, disk.Barriers);
    }

    [Fact]
    public void A_barrier_does_not_wait_for_a_flush_that_covers_something_else()
    {
        var disk = new MemoryDisk { HasBarriers = true };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        disk.FlushMayEnd.Reset();
        var flusher = new Thread(served.Flush);
        flusher.Start();
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "the flush is under way");
        served.Write(0, [1]);
        served.Barrier();
        Assert.Equal((1, 1), (disk.Barriers, disk.FlushesRunning));
        disk.FlushMayEnd.Set();
        Assert.True(flusher.Join(NbdTestServer.Patience));
        // The flush that ended began before the write: it ordered nothing of it, but the barrier did.
        served.Barrier();
        Assert.Equal(1, disk.Barriers);
    }

    [Fact]
    public void A_flush_that_began_before_a_write_does_not_stand_for_its_barrier()
    {
        var disk = new MemoryDisk { HasBarriers = true };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        disk.FlushMayEnd.Reset();
        var flusher = new Thread(served.Flush);
        flusher.Start();
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "the flush is under way");
        served.Write(0, [1]);
        disk.FlushMayEnd.Set();
        Assert.True(flusher.Join(NbdTestServer.Patience));
        served.Barrier();
        Assert.Equal(1, disk.Barriers);
    }

    [Fact]
    public void A_held_disk_lets_barriers_wait_and_a_hold_waits_for_one_that_runs()
    {
        MemoryDisk first = new() { HasBarriers = true }, second = new() { HasBarriers = true };
        using var served = new ServedDisk("disk", first, new StorageMeter());
        served.Write(0, [1]);
        first.BarrierMayEnd.Reset();
        var running = new Thread(served.Barrier);
        running.Start();
        NbdTestServer.Eventually(() => first.Barriers == 1, "the barrier is under way");
        Assert.False(served.Hold(TimeSpan.FromMilliseconds(20)));
        first.BarrierMayEnd.Set();
        Assert.True(running.Join(NbdTestServer.Patience));

        Assert.True(served.Hold(NbdTestServer.Patience));
        var waiting = new Thread(served.Barrier);
        waiting.Start();
        Assert.False(waiting.Join(30));
        served.Detach();
        served.Replace(second);
        served.Release();
        Assert.True(waiting.Join(NbdTestServer.Patience));
        served.Write(0, [1]);
        served.Barrier();
        Assert.Equal((1, 1), (first.Barriers, second.Barriers));
    }

    [Fact]
    public void Every_write_that_returned_is_covered_by_a_barrier_or_flush_when_the_guests_barrier_returns()
    {
        using var disk = new WitnessDisk();
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Thread[] guests = [.. Enumerable.Range(0, 6).Select(guest => new Thread(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                served.Write(guest * 8, BitConverter.GetBytes(i));
                long mine = disk.NumberOfMine;
                if (guest == 0 && i % 3 == 0) served.Flush();
                else served.Barrier();
                if (disk.Covered < mine) disk.Broken = $"write {mine} was not covered, only {disk.Covered}";
            }
        }))];
        foreach (Thread guest in guests) guest.Start();
        for (int i = 0; i < 20; i++)
        {
            if (served.Hold(NbdTestServer.Patience)) served.Release();
            Thread.Sleep(2);
        }

        foreach (Thread guest in guests) Assert.True(guest.Join(NbdTestServer.Patience));
        Assert.Null(disk.Broken);
    }

    /// <summary>Numbers its writes as they return, and knows up to which one a barrier or flush, which began after it, has ended.</summary>
    private sealed class WitnessDisk : IVirtualDisk, IBarrierDisk
    {
        private readonly ThreadLocal<long> _mine = new();
        private long _written, _covered;

        public volatile string? Broken;

        public long NumberOfMine => _mine.Value;

        public long Covered => Volatile.Read(ref _covered);

        public long Length => 4096;

        public bool IsReadOnly => false;

        public int PreferredBlockSize => 512;

        public void Read(long offset, Span<byte> buffer) => buffer.Clear();

        public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) => _mine.Value = Interlocked.Increment(ref _written);

        public void Flush() => Cover();

        public void Barrier() => Cover();

        public T? GetCapability<T>() where T : class => this as T;

        public void Dispose() => _mine.Dispose();

        private void Cover()
        {
            long upTo = Volatile.Read(ref _written);
            Thread.Yield();
            for (long seen = Covered; seen < upTo; seen = Covered)
            {
                if (Interlocked.CompareExchange(ref _covered, upTo, seen) == seen) return;
            }
        }
    }
}
