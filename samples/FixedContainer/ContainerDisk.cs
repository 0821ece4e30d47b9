using StoragePlugins;

namespace Samples.FixedContainer;

/// <summary>The disk: each request is one request to the medium, behind the headers. It offers what the medium offers.</summary>
internal sealed class ContainerDisk : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk
{
    /// <summary>Zeros are written in pieces of this size where the medium cannot zero: large enough for one device request.</summary>
    private const int ZeroBytes = 256 << 10;

    private static readonly byte[] s_zeros = new byte[ZeroBytes];

    private readonly IOrderedMedium _storage;
    private readonly INonBlockingMedium? _nonBlocking;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly ISparseMedium? _sparse;

    public ContainerDisk(IOrderedMedium storage, long length, bool isReadOnly)
    {
        (_storage, Length, IsReadOnly) = (storage, length, isReadOnly);
        // Asked for once: the answers never change.
        _nonBlocking = storage.GetCapability<INonBlockingMedium>();
        _deallocating = storage.GetCapability<IDeallocatingMedium>();
        _sparse = storage.GetCapability<ISparseMedium>();
    }

    public long Length { get; }

    public bool IsReadOnly { get; }

    /// <summary>The page of the file systems that images lie on: they allocate and punch in units of it.</summary>
    public int PreferredBlockSize => 4096;

    public T? GetCapability<T>() where T : class => typeof(T) switch
    {
        var type when type == typeof(INonBlockingDisk) => _nonBlocking is null ? null : this as T,
        var type when type == typeof(IExtentDisk) => _sparse is null ? null : this as T,
        _ => this as T,
    };

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        int got = _storage.Read(ContainerHeader.DataAt + offset, buffer);
        // Somebody else may have cut the file since.
        buffer[got..].Clear();
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        return _nonBlocking!.TryRead(ContainerHeader.DataAt + offset, buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("write", offset, data.Length);
        if (data.Length > 0) _storage.Write(ContainerHeader.DataAt + offset, data, ContentClass.GuestData);
        Finish(flags);
    }

    // Whether the medium waits is not known beforehand.
    public bool TryWrite(long offset, ReadOnlySpan<byte> data) => false;

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("discard", offset, length);
        // A medium that refuses leaves the bytes as they are, which a discard allows.
        if (length > 0) _ = _deallocating?.TryPunchHole(ContainerHeader.DataAt + offset, length);
        Finish(flags);
    }

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("zero", offset, length);
        if (length > 0 && !TryZero(ContainerHeader.DataAt + offset, length, mayUnmap))
        {
            for (long done = 0; done < length; done += ZeroBytes)
                _storage.Write(ContainerHeader.DataAt + offset + done, s_zeros.AsSpan(0, (int)Math.Min(ZeroBytes, length - done)), ContentClass.GuestData);
        }

        Finish(flags);
    }

    public bool IsZeroingFast(long offset, long length) => _deallocating is not null;

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Check("describe", offset, length);
        int count = 0;
        while (length > 0 && count < extents.Length)
        {
            (long run, bool isHole) = _sparse!.DescribeRun(ContainerHeader.DataAt + offset);
            run = run <= 0 ? length : Math.Min(run, length);
            extents[count++] = new DiskExtent(run, isHole ? ExtentFlags.Hole | ExtentFlags.Zero : ExtentFlags.None, 1);
            (offset, length) = (offset + run, length - run);
        }

        return count;
    }

    public void Flush()
    {
        if (!IsReadOnly) _storage.Flush();
    }

    public void Barrier()
    {
        if (!IsReadOnly) _storage.Barrier();
    }

    // The image owns the storage.
    public void Dispose()
    {
    }

    private bool TryZero(long at, long length, bool mayUnmap) =>
        _deallocating is not null && ((mayUnmap && _deallocating.TryPunchHole(at, length)) || _deallocating.TryZeroRange(at, length));

    private void Finish(WriteFlags flags)
    {
        if ((flags & WriteFlags.ForceUnitAccess) != 0) _storage.Flush();
    }

    private void CheckWritable(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, _storage.Name, offset, length, "it was opened for reading only");
        Check(operation, offset, length);
    }

    private void Check(string operation, long offset, long length)
    {
        if ((ulong)offset > (ulong)Length || (ulong)length > (ulong)(Length - offset))
            throw new StorageException(StorageError.InvalidRange, operation, _storage.Name, offset, length, $"the disk has {Length} bytes");
    }
}
