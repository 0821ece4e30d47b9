namespace StoragePlugins.PmJournal.Tests.Session;

/// <summary>A medium that is persistent memory, as a simulation or a recorder would put it in the place of a file.</summary>
internal sealed class MemoryRegion(IPersistentMemory memory) : IStorageMedium
{
    public string Name => "region";

    public long Length => memory.Length;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer) => throw new NotSupportedException();

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw new NotSupportedException();

    public void SetLength(long length) => throw new NotSupportedException();

    public T? GetCapability<T>() where T : class => memory as T;

    public void Dispose()
    {
    }
}
