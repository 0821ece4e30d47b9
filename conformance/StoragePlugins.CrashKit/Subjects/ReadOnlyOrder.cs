namespace StoragePlugins.CrashKit.Subjects;

/// <summary>A medium that nobody may write to has nothing to order.</summary>
internal sealed class ReadOnlyOrder(IStorageMedium medium) : IOrderedMedium
{
    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => true;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw Refused("write", offset, data.Length);

    public void SetLength(long length) => throw Refused("set the length", length, 0);

    public void Barrier() => throw Refused("barrier", -1, 0);

    public void Flush() => throw Refused("flush", -1, 0);

    // Mapped memory of a medium for reading refuses stores itself.
    public T? GetCapability<T>() where T : class => typeof(T) == typeof(IPersistentMemory) ? medium.GetCapability<T>() : null;

    public void Dispose() => medium.Dispose();

    private StorageException Refused(string operation, long offset, long length) =>
        new(StorageError.ReadOnly, operation, Name, offset, length, "the image is open for reading only");
}
