namespace StoragePlugins.SimulatedMedia;

/// <summary>A mapping of a slow device's file: what is made durable by <c>msync(2)</c> goes to that device, and costs one of its flushes.</summary>
internal sealed class SlowMemory(IPersistentMemory inner, Action spendFlush) : IPersistentMemory
{
    public long Length => inner.Length;

    public PersistenceDomain Domain => inner.Domain;

    public bool IsEmulated => inner.IsEmulated;

    public ReadOnlySpan<byte> View(long offset, int length) => inner.View(offset, length);

    public void Store(long offset, ReadOnlySpan<byte> data) => inner.Store(offset, data);

    public void StoreNonTemporal(long offset, ReadOnlySpan<byte> data) => inner.StoreNonTemporal(offset, data);

    public void FlushLines(long offset, long length) => inner.FlushLines(offset, length);

    public void Fence() => inner.Fence();

    public void Persist(long offset, long length)
    {
        inner.Persist(offset, length);
        spendFlush();
    }

    public void ThrowIfLost() => inner.ThrowIfLost();
}
