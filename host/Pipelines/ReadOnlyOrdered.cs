namespace StoragePlugins.Host.Pipelines;

/// <summary>A medium that is only read, as an ordered one: there is nothing to order.</summary>
internal sealed class ReadOnlyOrdered(IStorageMedium medium) : IOrderedMedium
{
    /// <inheritdoc/>
    public string Name => medium.Name;

    /// <inheritdoc/>
    public long Length => medium.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => true;

    /// <inheritdoc/>
    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
        => throw new StorageException(StorageError.ReadOnly, "write", Name, offset, data.Length, "it was opened for reading");

    /// <inheritdoc/>
    public void SetLength(long length) => throw new StorageException(StorageError.ReadOnly, "resize", Name, length, 0, "it was opened for reading");

    /// <inheritdoc/>
    public void Barrier()
    {
    }

    /// <inheritdoc/>
    public void Flush()
    {
    }

    /// <inheritdoc/>
    public T? GetCapability<T>() where T : class => medium.GetCapability<T>();

    /// <inheritdoc/>
    public void Dispose() => medium.Dispose();
}
