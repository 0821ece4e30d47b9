using System.Diagnostics;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Disks;

public class ServedDiskTests
{
    [Theory]
    [InlineData(-1, 1)]
    [InlineData(4096, 1)]
    [InlineData(4095, 2)]
    [InlineData(long.MaxValue, 1)]
    public void A_range_outside_the_disk_never_reaches_it(long offset, int length)
    {
        using var served = new ServedDisk("disk", new MemoryDisk(4096), new StorageMeter());
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => served.Read(offset, new byte[length])).Error);
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => served.Write(offset, new byte[length])).Error);
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => served.WriteZeroes(offset, length, true)).Error);
        Assert.False(served.TryRead(offset, new byte[length]));
        Assert.False(served.TryWrite(offset, new byte[length]));
    }

    [Fact]
    public void Capabilities_are_those_of_the_inner_disk_and_zeroing()
    {
        using var full = new ServedDisk("disk", new MemoryDisk(), new StorageMeter());
        using var bare = new ServedDisk("disk", new MemoryDisk { HasExtras = false, IsNonBlocking = false }, new StorageMeter());
        Assert.NotNull(full.GetCapability<INonBlockingDisk>());
        Assert.NotNull(full.GetCapability<IDiscardDisk>());
        Assert.NotNull(full.GetCapability<IExtentDisk>());
        Assert.Null(bare.GetCapability<INonBlockingDisk>());
        Assert.Null(bare.GetCapability<IDiscardDisk>());
        Assert.Null(bare.GetCapability<IExtentDisk>());
        Assert.NotNull(bare.GetCapability<IZeroingDisk>());
        Assert.Null(full.GetCapability<IResizableDisk>());
    }

    [Fact]
    public void A_quiesced_disk_refuses_requests_after_the_running_ones_have_ended()
    {
        var disk = new MemoryDisk { ColdOffset = 0 };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        var reader = new Thread(() => served.Read(0, new byte[1]));
        reader.Start();
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the read is under way");
        Assert.False(served.Quiesce(TimeSpan.FromMilliseconds(20)));
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => served.Read(0, new byte[1])).Error);
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(served.Flush).Error);
        disk.ColdRead.Set();
        Assert.True(served.Quiesce(NbdTestServer.Patience));
        reader.Join();
    }

    [Fact]
    public void Held_disk_lets_requests_wait_and_goes_on_with_another_disk()
    {
        var first = new MemoryDisk();
        var second = new MemoryDisk();
        using var served = new ServedDisk("disk", first, new StorageMeter());
        served.Write(0, [1]);
        Assert.True(served.Hold(NbdTestServer.Patience));
        Assert.False(served.TryRead(0, new byte[1]));
        Assert.False(served.TryWrite(0, [2]));
        var writer = new Thread(() => served.Write(0, [2]));
        var flusher = new Thread(served.Flush);
        writer.Start();
        flusher.Start();
        Assert.False(writer.Join(50));
        Assert.False(flusher.Join(50));
        Assert.Equal(0, first.FlushesRunning);

        served.Detach();
        served.Replace(second);
        served.Release();
        Assert.True(writer.Join(NbdTestServer.Patience));
        Assert.True(flusher.Join(NbdTestServer.Patience));
        byte[] read = new byte[1];
        second.Read(0, read);
        Assert.Equal(2, read[0]);
        first.Read(0, read);
        Assert.Equal(1, read[0]);
    }

    [Fact]
    public void Hold_that_takes_too_long_is_none()
    {
        var disk = new MemoryDisk { ColdOffset = 0 };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        var reader = new Thread(() => served.Read(0, new byte[1]));
        reader.Start();
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the read is under way");
        Assert.False(served.Hold(TimeSpan.FromMilliseconds(20)));
        served.Write(8, [1]);
        disk.ColdRead.Set();
        reader.Join();
        Assert.True(served.Hold(NbdTestServer.Patience));
        served.Release();
        served.Flush();
    }

    [Fact]
    public void Held_disk_can_be_closed_and_tells_those_who_wait()
    {
        using var served = new ServedDisk("disk", new MemoryDisk(), new StorageMeter());
        Assert.True(served.Hold(NbdTestServer.Patience));
        StorageException? refused = null;
        var writer = new Thread(() => refused = Assert.Throws<StorageException>(() => served.Write(0, [1])));
        writer.Start();
        Assert.False(writer.Join(50));
        Assert.True(served.Quiesce(NbdTestServer.Patience));
        writer.Join();
        Assert.Equal(StorageError.ShuttingDown, refused!.Error);
    }

    [Fact]
    public void Quiesce_waits_for_flushes_too()
    {
        var disk = new MemoryDisk();
        disk.FlushMayEnd.Reset();
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        var flusher = new Thread(served.Flush);
        flusher.Start();
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "the flush is under way");
        Assert.False(served.Quiesce(TimeSpan.FromMilliseconds(20)));
        disk.FlushMayEnd.Set();
        Assert.True(served.Quiesce(NbdTestServer.Patience));
        flusher.Join();
    }

    [Fact]
    public void Percentiles_are_right_to_an_eighth()
    {
        var histogram = new LatencyHistogram();
        for (int microseconds = 1; microseconds <= 1000; microseconds++) histogram.Record(microseconds * Stopwatch.Frequency / 1_000_000);
        Assert.InRange(histogram.Percentile(0.5).TotalMicroseconds, 500, 500 * 1.13);
        Assert.InRange(histogram.Percentile(0.99).TotalMicroseconds, 990, 990 * 1.13);
        Assert.InRange(histogram.Percentile(1).TotalMicroseconds, 1000, 1000 * 1.13);
    }

    [Fact]
    public void Extreme_latencies_are_counted_and_nothing_recorded_is_zero()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(TimeSpan.Zero, histogram.Percentile(0.5));
        histogram.Record(-5);
        histogram.Record(0);
        Assert.InRange(histogram.Percentile(1).TotalNanoseconds, 0, 100);
        histogram.Record(long.MaxValue);
        Assert.InRange(histogram.Percentile(1).TotalMinutes, 15, 20);
    }
}
