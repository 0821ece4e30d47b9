namespace StoragePlugins.Media.Mapping;

/// <summary>
/// An image in mapped memory: a read is a copy, a write is a copy past the CPU's cache with a fence. What returned is durable, but for domain msync.
/// </summary>
/// <remarks>
/// <para>The file grows ahead in chunks, whose space is reserved so that a full file system is an error of the write and not a lost page; it is cut to
/// its length when it is closed. After a crash up to one chunk of zeros is left behind the end.</para>
/// <para>That the file's metadata is durable where a page was written is the mapping's own promise (MAP_SYNC). Only changes without a store (a set
/// length, a punched hole) are flushed by the file's sync call.</para>
/// </remarks>
internal sealed class PmMedium : IStorageMedium, IFlushableMedium, IDeallocatingMedium, INonBlockingMedium, IPreallocatingMedium, ISparseMedium
{
    /// <summary>Growth and reservation: a large page of x86-64, which DAX then maps as a whole.</summary>
    private const long ChunkBytes = 2L << 20;

    /// <summary>Zeros are stored in pieces that stay in the CPU's cache.</summary>
    private const int ZeroBlockBytes = 64 << 10;

    private static readonly byte[] s_zeros = new byte[ZeroBlockBytes];

    private readonly IStorageMedium _inner;
    private readonly IPersistentMemory _memory;
    private readonly StorageMeter _meter;
    private readonly IFileMedium? _file;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly ISparseMedium? _sparse;
    private readonly IFlushableMedium? _flushable;

    // Shared by whoever touches the mapping; exclusive for whoever takes pages away.
    private readonly ReaderWriterLockSlim _pages = new();
    private readonly Lock _growth = new();
    private readonly ChunkSet _reserved = new();
    private long _length;
    private int _metadataChanged;
    private bool _isDisposed;

    /// <param name="inner">What the memory is mapped from; this object disposes it.</param>
    /// <param name="memory">Its mapping.</param>
    /// <param name="meter">Counts what is read and written.</param>
    public PmMedium(IStorageMedium inner, IPersistentMemory memory, StorageMeter meter)
    {
        _inner = inner;
        _memory = memory;
        _meter = meter;
        _file = inner.GetCapability<IFileMedium>();
        _deallocating = inner.GetCapability<IDeallocatingMedium>();
        _sparse = inner.GetCapability<ISparseMedium>();
        _flushable = inner.GetCapability<IFlushableMedium>();
        _length = inner.Length;
    }

    public string Name => _inner.Name;

    public long Length => Volatile.Read(ref _length);

    public bool IsReadOnly => _inner.IsReadOnly;

    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IPersistentMemory) ? (T)_memory
        : typeof(T) == typeof(IRemovableMedium) ? _inner.GetCapability<T>()
        // A page that is not there is read from a disk when the page cache stands between.
        : typeof(T) == typeof(INonBlockingMedium) && _memory.Domain == PersistenceDomain.Msync ? null
        : (typeof(T) == typeof(IDeallocatingMedium) && _deallocating is null) || (typeof(T) == typeof(ISparseMedium) && _sparse is null) ? null
        : this as T;

    public int Read(long offset, Span<byte> buffer)
    {
        _pages.EnterReadLock();
        try
        {
            int there = (int)Math.Clamp(Length - offset, 0, buffer.Length);
            if (there > 0) _memory.View(offset, there).CopyTo(buffer);
            _memory.ThrowIfLost();
            _meter.CountHostRead(there);
            return there;
        }
        finally
        {
            _pages.ExitReadLock();
        }
    }

    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "write", Name, offset, data.Length, "it was opened read-only");
        _pages.EnterReadLock();
        try
        {
            long end = offset + data.Length;
            MakeRoom(offset, end);
            _memory.StoreNonTemporal(offset, data);
            // A flush by another thread cannot wait for this thread's stores.
            _memory.Fence();
            Grow(end);
            _meter.CountHostWrite(content, data.Length);
        }
        finally
        {
            _pages.ExitReadLock();
        }
    }

    public void SetLength(long length)
    {
        _pages.EnterWriteLock();
        try
        {
            _memory.ThrowIfLost();
            _inner.SetLength(length);
            if (_memory.Length < length)
            {
                _inner.SetLength(Length);
                throw BeyondTheMapping("truncate", length, 0);
            }

            lock (_growth) _reserved.RemoveFrom(length / ChunkBytes);
            Volatile.Write(ref _length, length);
            Volatile.Write(ref _metadataChanged, 1);
        }
        finally
        {
            _pages.ExitWriteLock();
        }
    }

    public void FlushData()
    {
        if (_memory.Domain == PersistenceDomain.Msync) FlushFile();
        else if (Interlocked.Exchange(ref _metadataChanged, 0) != 0 && !_memory.IsEmulated) FlushFile();
        _memory.Fence();
    }

    public void FlushAll()
    {
        if (_memory.Domain != PersistenceDomain.None) _flushable?.FlushAll();
        _memory.Fence();
    }

    public bool TryPunchHole(long offset, long length) => TryGiveBack(offset, length, keepSpace: false);

    public bool TryZeroRange(long offset, long length)
    {
        if (length <= 0) return true;
        if (offset + length <= Length) return TryGiveBack(offset, length, keepSpace: true);
        return false;
    }

    public void Preallocate(long offset, long length)
    {
        for (long done = 0; done < length; done += ZeroBlockBytes)
            Write(offset + done, s_zeros.AsSpan(0, (int)Math.Min(ZeroBlockBytes, length - done)), ContentClass.Preallocation);
    }

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        long end = Length;
        if (offset >= end) return (0, true);
        (long run, bool isHole) = _sparse!.DescribeRun(offset);
        return (Math.Min(run, end - offset), isHole);
    }

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _pages.EnterWriteLock();
        try
        {
            if (!IsReadOnly && _inner.Length > Length && !IsLost()) _inner.SetLength(Length);
        }
        catch (StorageException)
        {
            // What is left is a chunk of zeros behind the end, as after a crash.
        }
        finally
        {
            _pages.ExitWriteLock();
            _inner.Dispose();
            _pages.Dispose();
        }
    }

    private bool IsLost()
    {
        try
        {
            _memory.ThrowIfLost();
            return false;
        }
        catch (StorageException)
        {
            return true;
        }
    }

    private bool TryGiveBack(long offset, long length, bool keepSpace)
    {
        if (length <= 0) return true;
        if (IsReadOnly || _deallocating is null) return false;
        _pages.EnterReadLock();
        try
        {
            _memory.ThrowIfLost();
            if (!keepSpace)
            {
                lock (_growth) _reserved.Remove(offset / ChunkBytes, (offset + length - 1) / ChunkBytes);
            }

            bool done = keepSpace ? _deallocating.TryZeroRange(offset, length) : _deallocating.TryPunchHole(offset, length);
            if (done) Volatile.Write(ref _metadataChanged, 1);
            return done;
        }
        finally
        {
            _pages.ExitReadLock();
        }
    }

    // A failed sync is not tried again: the ordering primitive above poisons the image.
    private void FlushFile() => _flushable?.FlushData();

    // Space first, then stores: a store into a hole of a full file system would lose the page.
    private void MakeRoom(long offset, long end)
    {
        for (long chunk = offset / ChunkBytes; chunk * ChunkBytes < end; chunk++)
        {
            if (_reserved.Contains(chunk)) continue;
            lock (_growth)
            {
                Reserve(chunk * ChunkBytes, ChunkBytes);
                _reserved.Add(chunk);
            }
        }

        if (end <= _memory.Length) return;
        lock (_growth)
        {
            if (end > _inner.Length) _inner.SetLength((end + ChunkBytes - 1) / ChunkBytes * ChunkBytes);
        }

        if (end > _memory.Length) throw BeyondTheMapping("write", offset, end - offset);
    }

    private StorageException BeyondTheMapping(string operation, long offset, long length) => new(
        StorageError.NoSpace, operation, Name, offset, length, $"the mapping ends at {_memory.Length}; close the image and open it again for a larger one");

    private void Reserve(long offset, long length)
    {
        if (_file is null || Libc.FAllocate(_file.Handle, Libc.FallocKeepSize, offset, length) == 0) return;
        int errno = System.Runtime.InteropServices.Marshal.GetLastPInvokeError();
        // A device, or a file system that cannot reserve, has no holes to fill or says so by a lost page.
        if (Libc.ToStorageError(errno) == StorageError.NoSpace) throw new StorageException(StorageError.NoSpace, "fallocate", Name, offset, length, Libc.ErrorText(errno));
    }

    private void Grow(long end)
    {
        long seen = Volatile.Read(ref _length);
        while (end > seen)
        {
            long before = Interlocked.CompareExchange(ref _length, end, seen);
            if (before == seen) return;
            seen = before;
        }
    }
}
