namespace StoragePlugins.Host.Disks;

/// <summary>Stands where a disk was that could not be opened again: every request fails with the reason.</summary>
internal sealed class LostDisk(string name, long length, string reason) : IVirtualDisk
{
    public long Length => length;

    public bool IsReadOnly => false;

    public int PreferredBlockSize => 4096;

    public void Read(long offset, Span<byte> buffer) => throw Failure("read", offset, buffer.Length);

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) => throw Failure("write", offset, data.Length);

    public void Flush() => throw new DurabilityLostException("flush", name, reason);

    public T? GetCapability<T>() where T : class => null;

    public void Dispose()
    {
    }

    private StorageException Failure(string operation, long offset, long count) => new(StorageError.Io, operation, name, offset, count, reason);
}
