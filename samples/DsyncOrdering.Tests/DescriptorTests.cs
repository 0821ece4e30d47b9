using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins;
using Xunit;

namespace Samples.DsyncOrdering.Tests;

/// <summary>The way through a real descriptor.</summary>
public sealed class DescriptorTests : IDisposable
{
    private const int Bytes = 1 << 20;

    private readonly string _path = Path.GetTempFileName();
    private readonly StorageMeter _meter = new();

    public DescriptorTests() => File.WriteAllBytes(_path, new byte[Bytes]);

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Writes_inside_the_file_go_through_the_descriptor_and_no_flush_is_needed()
    {
        var file = new FileMedium(_path);
        using IOrderedMedium medium = Attach(file);
        byte[] data = new byte[300_000], read = new byte[300_000];
        Random.Shared.NextBytes(data);
        medium.Write(12345, data, ContentClass.GuestData);
        medium.Barrier();
        medium.Flush();
        Assert.Equal(data.Length, medium.Read(12345, read));
        Assert.Equal(data, read);
        Assert.Equal((0, 0), (file.Writes, file.Flushes));
        MeterReading reading = _meter.Read();
        Assert.Equal((data.Length, 1), (reading.HostWrittenBytes, reading.HostFlushes));
    }

    [Fact]
    public void Write_that_grows_the_file_is_made_and_flushed_by_the_medium()
    {
        var file = new FileMedium(_path);
        using IOrderedMedium medium = Attach(file);
        medium.Write(Bytes - 1, [1, 2], ContentClass.GuestData);
        Assert.Equal((1, 1), (file.Writes, file.Flushes));
        Assert.Equal(Bytes + 1, medium.Length);
    }

    [Fact]
    public void Changed_length_is_flushed_once_by_the_next_barrier()
    {
        var file = new FileMedium(_path);
        using IOrderedMedium medium = Attach(file);
        medium.SetLength(4096);
        Assert.Equal(0, file.Flushes);
        medium.Barrier();
        medium.Flush();
        Assert.Equal(1, file.Flushes);
    }

    [Fact]
    public void Failed_synchronous_write_is_final()
    {
        // A descriptor that cannot be written to: pwritev2 fails with EBADF.
        var file = new FileMedium(_path, FileAccess.Read);
        using IOrderedMedium medium = Attach(file);
        Assert.Throws<DurabilityLostException>(() => medium.Write(0, [1], ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(medium.Flush);
        Assert.Throws<DurabilityLostException>(medium.Barrier);
        Assert.Throws<DurabilityLostException>(() => medium.Write(0, [1], ContentClass.GuestData));
        Assert.Equal((0, 0), (file.Writes, file.Flushes));
        Assert.Equal(1, medium.Read(0, new byte[1]));
    }

    [Fact]
    public void Writes_of_several_threads_do_not_allocate_and_all_arrive()
    {
        using IOrderedMedium medium = Attach(new FileMedium(_path));
        byte[] data = new byte[4096], read = new byte[Bytes];
        Array.Fill(data, (byte)7);
        // The best of several: what the runtime allocates for itself, now and then, is not the write's.
        long allocated = Enumerable.Range(0, 5).Min(_ =>
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int at = 0; at < 64 * 4096; at += 4096) medium.Write(at, data, ContentClass.GuestData);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        });
        Assert.Equal(0, allocated);
        Parallel.For(0, Bytes / 4096, new ParallelOptions { MaxDegreeOfParallelism = 4 }, block =>
        {
            medium.Write(block * 4096L, data, ContentClass.GuestData);
            if (block % 5 == 0) medium.Flush();
        });
        medium.Read(0, read);
        Assert.False(read.AsSpan().ContainsAnyExcept((byte)7));
    }

    private IOrderedMedium Attach(FileMedium file) => new DsyncOrdering().Attach(file, new StrategyContext(null, _meter, NullLogger.Instance));
}
