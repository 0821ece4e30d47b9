using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>Passes reads and writes on; a barrier and a flush are one flush of the medium. The first one that fails is final.</summary>
internal sealed class FlushedMedium(IStorageMedium medium, Action flush) : IOrderedMedium
{
    private readonly Lock _flushing = new();
    private volatile Exception? _failure;

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        ThrowIfPoisoned();
        medium.Write(offset, data, content);
    }

    public void SetLength(long length)
    {
        ThrowIfPoisoned();
        medium.SetLength(length);
    }

    public void Barrier() => Flush("barrier");

    public void Flush() => Flush("flush");

    // Whoever flushed or ordered behind this object's back would miss that an earlier flush failed.
    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IFlushableMedium) || typeof(T) == typeof(IBarrierMedium) ? null : medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();

    private void Flush(string purpose)
    {
        // One at a time: of two at once Linux tells only one that a write was lost.
        lock (_flushing)
        {
            ThrowIfPoisoned();
            try
            {
                flush();
            }
            catch (Exception failure)
            {
                // Never tried again: the kernel may have dropped what it could not write, and a second call would succeed.
                _failure = failure;
                throw new DurabilityLostException(purpose, Name, failure.Message, failure);
            }
        }
    }

    private void ThrowIfPoisoned()
    {
        if (_failure is { } failure) throw new DurabilityLostException("flush", Name, $"an earlier one failed: {failure.Message}", failure);
    }
}
