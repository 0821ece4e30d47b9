using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem;

/// <summary>A regular file as a disk. Its writes are durable when they return, so that a flush waits for nothing.</summary>
internal sealed class PmFileDisk(PmTree tree, ulong node, string name) : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk, IResizableDisk
{
    private bool _isDisposed;

    public long Length => tree.GetAttributes(node, out NodeAttributes attributes) == FileError.None ? attributes.Size : 0;

    public bool IsReadOnly => tree.IsReadOnly;

    public int PreferredBlockSize => PmLayout.BlockBytes;

    public T? GetCapability<T>() where T : class => this as T;

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        ThrowIf(tree.Read(node, offset, buffer, out int read), "read", offset, buffer.Length);
        // The file may have been cut by somebody else meanwhile.
        buffer[read..].Clear();
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        Check("write", offset, data.Length);
        ThrowIf(tree.Write(node, offset, data), "write", offset, data.Length);
    }

    public void Flush() => ThrowIf(tree.Flush(node), "flush", -1, 0);

    public void Barrier() => Flush();

    public bool TryRead(long offset, Span<byte> buffer)
    {
        Read(offset, buffer);
        return true;
    }

    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        Write(offset, data);
        return true;
    }

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None) => Erase("discard", AllocationMode.PunchHole, offset, length);

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None) =>
        Erase("zero", mayUnmap ? AllocationMode.PunchHole : AllocationMode.ZeroRange, offset, length);

    // Zeros that are stored run at the speed of memory.
    public bool IsZeroingFast(long offset, long length) => true;

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Check("describe", offset, length);
        int count = 0;
        for (long end = offset + length; offset < end && count < extents.Length;)
        {
            // No data from here on: a hole to the end.
            if (tree.Seek(node, offset, forHole: false, out long next) != FileError.None) next = end;
            bool isData = next == offset;
            if (isData) _ = tree.Seek(node, offset, forHole: true, out next);
            next = Math.Clamp(next, offset + 1, end);
            extents[count++] = new DiskExtent(next - offset, isData ? ExtentFlags.None : ExtentFlags.Hole | ExtentFlags.Zero, isData ? 1 : 0);
            offset = next;
        }

        return count;
    }

    public void Resize(long length)
    {
        var change = new AttributeChange { Size = length };
        ThrowIf(tree.SetAttributes(node, change, out _), "resize", -1, length);
    }

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        tree.Closed(node);
        tree.Forget(node, 1);
    }

    private void Erase(string operation, AllocationMode mode, long offset, long length)
    {
        Check(operation, offset, length);
        if (length > 0) ThrowIf(tree.Allocate(node, mode, offset, length), operation, offset, length);
    }

    private void Check(string operation, long offset, long length)
    {
        long size = Length;
        if (offset < 0 || length < 0 || offset > size - length)
            throw new StorageException(StorageError.InvalidRange, operation, name, offset, length, $"the file has {size} bytes");
    }

    private void ThrowIf(FileError error, string operation, long offset, long length)
    {
        if (error == FileError.None) return;
        StorageError kind = error switch
        {
            FileError.NoSpace => StorageError.NoSpace,
            FileError.ReadOnly => StorageError.ReadOnly,
            FileError.FileTooLarge or FileError.InvalidArgument => StorageError.InvalidRange,
            _ => StorageError.Io,
        };
        throw new StorageException(kind, operation, name, offset, length, error == FileError.NoSpace ? "the file system is full" : $"the file system says {error}");
    }
}
