namespace StoragePlugins.Fsync;

/// <summary>
/// Passes reads and writes straight through; a barrier or flush is one blocking sync of the medium. The first sync that fails
/// poisons the medium: the kernel may have dropped what it could not write and would report success the next time.
/// </summary>
internal sealed class SyncOrderedMedium(IStorageMedium medium, string call, Action sync) : IOrderedMedium
{
    private readonly Lock _syncing = new();
    private volatile Exception? _failure;

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public static IFlushableMedium Flushable(IStorageMedium medium, string call) =>
        medium.GetCapability<IFlushableMedium>() ?? throw new DiagnosticException(
            "SP5010", $"the medium cannot be flushed, which the ordering '{call}' needs", medium.Name, fix: "use another medium or another ordering");

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

    public void Barrier() => Sync("barrier");

    public void Flush() => Sync("flush");

    // Flushing or ordering behind this object's back would miss the poison.
    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IFlushableMedium) || typeof(T) == typeof(IBarrierMedium) ? null : medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();

    private void Sync(string purpose)
    {
        // One at a time: of two concurrent syncs of a file Linux tells only one that a write was lost, and the other would acknowledge it.
        lock (_syncing)
        {
            ThrowIfPoisoned();
            try
            {
                sync();
            }
            catch (Exception e)
            {
                _failure ??= e;
                throw new DurabilityLostException($"{purpose} ({call})", Name, e.Message, e);
            }
        }
    }

    private void ThrowIfPoisoned()
    {
        if (_failure is { } failure)
            throw new DurabilityLostException(call, Name, $"an earlier {call} failed ({failure.Message}); close the disk, check the device and open it again", failure);
    }
}
