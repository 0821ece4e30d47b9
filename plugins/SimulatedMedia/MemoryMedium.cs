namespace StoragePlugins.SimulatedMedia;

/// <summary>One use of a <see cref="MemoryImage"/>. Writes take effect in the order of their calls and nothing outlives the process, so flushes and barriers
/// have nothing to do; they are counted.</summary>
internal sealed class MemoryMedium(MemoryImage image, bool readOnly, StorageMeter meter) : IStorageMedium, IFlushableMedium, IBarrierMedium, IDeallocatingMedium,
    INonBlockingMedium, IPreallocatingMedium, ISparseMedium
{
    /// <summary>A run is described as far as this, 1 GiB: an empty image of a terabyte would take seconds to walk.</summary>
    private const long MaxRunPages = 16384;

    private bool _isReleased;

    public string Name => image.Name;

    public long Length => image.Length;

    public bool IsReadOnly => readOnly;

    public T? GetCapability<T>() where T : class => this as T;

    public int Read(long offset, Span<byte> buffer)
    {
        int read = image.Read(offset, buffer);
        meter.CountHostRead(read);
        return read;
    }

    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        RequireWritable("write", offset, data.Length);
        image.Write(offset, data);
        meter.CountHostWrite(content, data.Length);
    }

    public void SetLength(long length)
    {
        RequireWritable("truncate", length, 0);
        image.SetLength(length);
    }

    public void FlushData() => meter.CountHostFlush();

    public void FlushAll() => meter.CountHostFlush();

    public void Barrier() => meter.CountBarrier();

    public bool TryPunchHole(long offset, long length)
    {
        RequireWritable("punch", offset, length);
        image.Deallocate(offset, length);
        return true;
    }

    public bool TryZeroRange(long offset, long length)
    {
        RequireWritable("zero", offset, length);
        image.Deallocate(offset, length);
        image.Grow(offset + length);
        return true;
    }

    public void Preallocate(long offset, long length)
    {
        RequireWritable("preallocate", offset, length);
        image.Allocate(offset, length);
        meter.CountHostWrite(ContentClass.Preallocation, length);
    }

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        long end = Length;
        if (offset >= end) return (0, true);
        long first = offset / MemoryImage.PageBytes;
        bool isAllocated = image.IsAllocated(first);
        long page = first + 1;
        while (page * MemoryImage.PageBytes < end && page - first < MaxRunPages && image.IsAllocated(page) == isAllocated) page++;
        return (Math.Min(page * MemoryImage.PageBytes, end) - offset, !isAllocated);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isReleased, true)) return;
        MemoryImages.Shared.Release(image, readOnly);
    }

    private void RequireWritable(string operation, long offset, long length)
    {
        if (readOnly) throw new StorageException(StorageError.ReadOnly, operation, Name, offset, length, "it was opened read-only");
    }
}
