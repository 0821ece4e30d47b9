namespace StoragePlugins.Host.Tests.Exports;

/// <summary>A disk in memory with switches for what real disks do at the worst moment.</summary>
internal sealed class MemoryDisk : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk
{
    private readonly byte[] _bytes;
    private int _barriers, _flushes, _flushesRunning, _blockedReads, _largestFlushOverlap;

    public MemoryDisk(int length = 1 << 20) => _bytes = new byte[length];

    public byte[] Bytes => _bytes;

    public long Length => _bytes.Length;

    public bool IsReadOnly { get; init; }

    public int PreferredBlockSize { get; init; } = 65536;

    /// <summary>Whether the disk offers <see cref="INonBlockingDisk"/>.</summary>
    public bool IsNonBlocking { get; init; } = true;

    /// <summary>Whether the disk offers discard, zeroing and extents.</summary>
    public bool HasExtras { get; init; } = true;

    /// <summary>Whether the disk offers barriers.</summary>
    public bool HasBarriers { get; init; }

    /// <summary>Barriers wait until it is set.</summary>
    public ManualResetEventSlim BarrierMayEnd { get; } = new(initialState: true);

    public Func<Exception?> BarrierFailure { get; set; } = () => null;

    public int Barriers => Volatile.Read(ref _barriers);

    public bool IsZeroingQuick { get; set; } = true;

    /// <summary>Reads of this offset are cold: never answered at once, and blocked until <see cref="ColdRead"/> is set.</summary>
    public long ColdOffset { get; set; } = -1;

    public ManualResetEventSlim ColdRead { get; } = new(initialState: false);

    /// <summary>Writes that start here or later are never taken at once.</summary>
    public long DeclinesWritesFrom { get; set; } = long.MaxValue;

    /// <summary>Flushes wait until it is set.</summary>
    public ManualResetEventSlim FlushMayEnd { get; } = new(initialState: true);

    public Func<Exception?> FlushFailure { get; set; } = () => null;

    public Func<Exception?> WriteFailure { get; set; } = () => null;

    public Func<Exception?> ReadFailure { get; set; } = () => null;

    public IReadOnlyList<DiskExtent> Extents { get; set; } = [];

    public int Flushes => Volatile.Read(ref _flushes);

    public int FlushesRunning => Volatile.Read(ref _flushesRunning);

    public int LargestFlushOverlap => Volatile.Read(ref _largestFlushOverlap);

    public int BlockedReads => Volatile.Read(ref _blockedReads);

    public List<(string Operation, long Offset, long Length, bool MayUnmap)> Ranges { get; } = [];

    public T? GetCapability<T>() where T : class
    {
        bool offered = typeof(T) == typeof(INonBlockingDisk) ? IsNonBlocking : typeof(T) == typeof(IBarrierDisk) ? HasBarriers : HasExtras;
        return offered ? this as T : null;
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        if (offset == ColdOffset) return false;
        Read(offset, buffer);
        return true;
    }

    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        if (offset >= DeclinesWritesFrom) return false;
        Write(offset, data);
        return true;
    }

    public void Read(long offset, Span<byte> buffer)
    {
        if (ReadFailure() is { } failure) throw failure;
        if (offset == ColdOffset)
        {
            Interlocked.Increment(ref _blockedReads);
            ColdRead.Wait();
            Interlocked.Decrement(ref _blockedReads);
        }

        _bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        if (WriteFailure() is { } failure) throw failure;
        data.CopyTo(_bytes.AsSpan((int)offset));
    }

    public void Flush()
    {
        int running = Interlocked.Increment(ref _flushesRunning);
        if (running > _largestFlushOverlap) _largestFlushOverlap = running;
        Interlocked.Increment(ref _flushes);
        try
        {
            FlushMayEnd.Wait();
            if (FlushFailure() is { } failure) throw failure;
        }
        finally
        {
            Interlocked.Decrement(ref _flushesRunning);
        }
    }

    public void Barrier()
    {
        Interlocked.Increment(ref _barriers);
        BarrierMayEnd.Wait();
        if (BarrierFailure() is { } failure) throw failure;
    }

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None) => Note("discard", offset, length, true);

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        Note("zero", offset, length, mayUnmap);
        _bytes.AsSpan((int)offset, (int)length).Clear();
    }

    public bool IsZeroingFast(long offset, long length) => IsZeroingQuick;

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        int count = 0;
        long start = 0;
        long end = offset + length;
        foreach (DiskExtent extent in Extents)
        {
            long from = Math.Max(start, offset);
            long to = Math.Min(start + extent.Length, end);
            if (from < to && count < extents.Length) extents[count++] = extent with { Length = to - from };
            start += extent.Length;
        }

        return count;
    }

    public void Dispose()
    {
    }

    private void Note(string operation, long offset, long length, bool mayUnmap)
    {
        lock (Ranges) Ranges.Add((operation, offset, length, mayUnmap));
    }
}
