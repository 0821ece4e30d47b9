namespace StoragePlugins.BarrierFS.Deferred;

/// <summary>Buffers in two sizes under one bound of memory, free ones included. Not thread-safe. Allocates only until the bound was once in use.</summary>
internal sealed class BufferPool(long limit)
{
    /// <summary>Metadata's after-images and small guest writes: a page.</summary>
    public const int SmallBytes = 4 << 10;

    /// <summary>The largest piece: a qcow2 cluster of the default size.</summary>
    public const int LargeBytes = 64 << 10;

    private readonly Stack<byte[]> _small = new();
    private readonly Stack<byte[]> _large = new();

    /// <summary>Bytes of the buffers that are lent.</summary>
    public long LentBytes { get; private set; }

    private long FreeBytes => ((long)_small.Count * SmallBytes) + ((long)_large.Count * LargeBytes);

    /// <summary>Lends a buffer that holds this many bytes; null when the bound is reached.</summary>
    public byte[]? TryRent(int length)
    {
        int size = length <= SmallBytes ? SmallBytes : LargeBytes;
        if (LentBytes + size > limit) return null;
        LentBytes += size;
        if ((size == SmallBytes ? _small : _large).TryPop(out byte[]? free)) return free;
        // Free buffers of the other size make way.
        while (LentBytes + FreeBytes > limit) (size == SmallBytes ? _large : _small).Pop();
        return GC.AllocateUninitializedArray<byte>(size);
    }

    /// <summary>Takes a buffer back.</summary>
    public void Return(byte[] buffer)
    {
        LentBytes -= buffer.Length;
        (buffer.Length == SmallBytes ? _small : _large).Push(buffer);
    }
}
