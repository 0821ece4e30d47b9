namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>An ordered medium that counts barriers and flushes, and fails where a test says so. Order is not its business.</summary>
internal sealed class CountingOrderedMedium(IStorageMedium inner) : IOrderedMedium
{
    private int _barriers, _flushes;

    public int Barriers => _barriers;

    public int Flushes => _flushes;

    /// <summary>Host syncs that "fdatasync" ordering would have issued.</summary>
    public int Syncs => _barriers + _flushes;

    /// <summary>Called before each write; throws to make it fail.</summary>
    public Action<long, int, ContentClass>? BeforeWrite { get; set; }

    /// <summary>Called before each read; throws to make it fail.</summary>
    public Action<long, int>? BeforeRead { get; set; }

    /// <summary>Called before each change of length; throws to make it fail.</summary>
    public Action<long>? BeforeSetLength { get; set; }

    public string Name => inner.Name;

    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public int Read(long offset, Span<byte> buffer)
    {
        BeforeRead?.Invoke(offset, buffer.Length);
        return inner.Read(offset, buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        BeforeWrite?.Invoke(offset, data.Length, content);
        inner.Write(offset, data, content);
    }

    public void SetLength(long length)
    {
        BeforeSetLength?.Invoke(length);
        inner.SetLength(length);
    }

    public void Barrier() => Interlocked.Increment(ref _barriers);

    public void Flush() => Interlocked.Increment(ref _flushes);

    public T? GetCapability<T>() where T : class => this as T ?? inner.GetCapability<T>();

    public void Dispose() => inner.Dispose();
}
