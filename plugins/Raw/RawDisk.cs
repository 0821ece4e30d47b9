namespace StoragePlugins.Raw;

/// <summary>The disk of a raw image: each request is one request to the medium.</summary>
internal sealed class RawDisk : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk, IResizableDisk
{
    /// <summary>Zeros are written in pieces of this size where the file system cannot zero a range.</summary>
    private const int ZeroBlockBytes = 256 << 10;

    /// <summary>Page size of the hosts this runs on: file systems allocate and punch in units of it.</summary>
    private const int PageBytes = 4096;

    private static readonly byte[] s_zeros = new byte[ZeroBlockBytes];

    private readonly IOrderedMedium _storage;
    private readonly INonBlockingMedium? _nonBlocking;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly ISparseMedium? _sparse;
    private long _length;

    public RawDisk(IOrderedMedium storage, bool readOnly)
    {
        _storage = storage;
        _nonBlocking = storage.GetCapability<INonBlockingMedium>();
        _deallocating = storage.GetCapability<IDeallocatingMedium>();
        _sparse = storage.GetCapability<ISparseMedium>();
        _length = storage.Length;
        IsReadOnly = readOnly;
    }

    public long Length => Volatile.Read(ref _length);

    public bool IsReadOnly { get; }

    public int PreferredBlockSize => PageBytes;

    public T? GetCapability<T>() where T : class => this switch
    {
        _ when typeof(T) == typeof(IExtentDisk) && _sparse is null => null,
        _ => this as T,
    };

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        int got = _storage.Read(offset, buffer);
        // The file may have been cut by somebody else while it is served.
        buffer[got..].Clear();
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("write", offset, data.Length);
        if (data.Length == 0) return;
        _storage.Write(offset, data, ContentClass.GuestData);
        Finish(flags);
    }

    public void Flush()
    {
        if (!IsReadOnly) _storage.Flush();
    }

    public void Barrier() => _storage.Barrier();

    public bool TryRead(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        return _nonBlocking is not null && _nonBlocking.TryRead(offset, buffer);
    }

    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        Write(offset, data);
        return true;
    }

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("discard", offset, length);
        if (length > 0) _ = _deallocating?.TryPunchHole(offset, length);
        Finish(flags);
    }

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("zero", offset, length);
        if (length > 0 && !((mayUnmap && TryPunch(offset, length)) || TryZero(offset, length)))
        {
            for (long done = 0; done < length; done += ZeroBlockBytes)
                _storage.Write(offset + done, s_zeros.AsSpan(0, (int)Math.Min(ZeroBlockBytes, length - done)), ContentClass.GuestData);
        }

        Finish(flags);
    }

    // Whether the file system can is only known by trying, and trying a page at most is cheap either way.
    public bool IsZeroingFast(long offset, long length) => _deallocating is not null || length <= PageBytes;

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Check("describe", offset, length);
        int count = 0;
        while (length > 0 && count < extents.Length)
        {
            (long run, bool hole) = _sparse?.DescribeRun(offset) ?? (length, false);
            run = run <= 0 ? length : Math.Min(run, length);
            extents[count++] = new DiskExtent(run, hole ? ExtentFlags.Hole | ExtentFlags.Zero : ExtentFlags.None, 1);
            offset += run;
            length -= run;
        }

        return count;
    }

    public void Resize(long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "resize", _storage.Name, -1, 0, "it was opened read-only");
        _storage.SetLength(length);
        _storage.Flush();
        Volatile.Write(ref _length, length);
    }

    public void Dispose()
    {
    }

    private bool TryPunch(long offset, long length) => _deallocating is not null && _deallocating.TryPunchHole(offset, length);

    private bool TryZero(long offset, long length) => _deallocating is not null && _deallocating.TryZeroRange(offset, length);

    private void Finish(WriteFlags flags)
    {
        if ((flags & WriteFlags.ForceUnitAccess) != 0) _storage.Flush();
    }

    private void CheckWritable(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, _storage.Name, offset, length, "it was opened read-only");
        Check(operation, offset, length);
    }

    private void Check(string operation, long offset, long length)
    {
        if ((ulong)offset > (ulong)Length || (ulong)length > (ulong)(Length - offset))
            throw new StorageException(StorageError.InvalidRange, operation, _storage.Name, offset, length, $"the disk has {Length} bytes");
    }
}
