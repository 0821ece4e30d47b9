namespace StoragePlugins.BarrierFS;

/// <summary>Writes go straight to the medium; a barrier and a flush are one call each, one at a time, so that a sync that succeeds after
/// another one failed is never taken for good (Linux reports a lost write to one caller only).</summary>
/// <param name="medium">The medium.</param>
/// <param name="barrier">What orders.</param>
/// <param name="flush">What makes durable.</param>
/// <remarks>Both are the medium's own, which counts them.</remarks>
internal sealed class PassThroughMedium(IStorageMedium medium, Action barrier, Action flush) : IOrderedMedium
{
    private readonly Lock _sync = new();
    private readonly Poison _poison = new(medium.Name);

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        _poison.ThrowIfSet();
        medium.Write(offset, data, content);
    }

    public void SetLength(long length)
    {
        _poison.ThrowIfSet();
        medium.SetLength(length);
    }

    public void Barrier() => Once("barrier", barrier);

    public void Flush() => Once("flush", flush);

    // Flushing or ordering behind this object's back would miss the poison.
    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IFlushableMedium) || typeof(T) == typeof(IBarrierMedium) ? null : medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();

    private void Once(string operation, Action call)
    {
        lock (_sync)
        {
            _poison.ThrowIfSet();
            try
            {
                call();
            }
            catch (Exception e)
            {
                _poison.Set(operation, e);
            }

            _poison.ThrowIfSet();
        }
    }
}
