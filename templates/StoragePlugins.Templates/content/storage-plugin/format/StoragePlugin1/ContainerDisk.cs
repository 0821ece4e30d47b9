using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>The disk: each request is one request to the medium, behind the header.</summary>
internal sealed class ContainerDisk(IOrderedMedium storage, ContainerHeader header, bool isReadOnly) : IVirtualDisk, IBarrierDisk
{
    public long Length => header.Size;

    public bool IsReadOnly => isReadOnly;

    public int PreferredBlockSize => ContainerHeader.Alignment;

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        int got = storage.Read(header.DataOffset + offset, buffer);
        // Somebody else may have cut the file since.
        buffer[got..].Clear();
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        if (isReadOnly) throw new StorageException(StorageError.ReadOnly, "write", storage.Name, offset, data.Length, "it was opened for reading only");
        Check("write", offset, data.Length);
        if (data.Length > 0) storage.Write(header.DataOffset + offset, data, ContentClass.GuestData);
        if ((flags & WriteFlags.ForceUnitAccess) != 0) storage.Flush();
    }

    public void Flush()
    {
        if (!isReadOnly) storage.Flush();
    }

    public void Barrier()
    {
        if (!isReadOnly) storage.Barrier();
    }

    public T? GetCapability<T>() where T : class => this as T;

    // The image owns the storage.
    public void Dispose()
    {
    }

    private void Check(string operation, long offset, int length)
    {
        if ((ulong)offset > (ulong)Length || length > Length - offset)
            throw new StorageException(StorageError.InvalidRange, operation, storage.Name, offset, length, $"the disk has {Length} bytes");
    }
}
