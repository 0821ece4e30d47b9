using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>Passes everything on and counts what asks the device to do something lasting. Thread-safe as what it stands on.</summary>
internal sealed class CountingMedium : IStorageMedium, IFlushableMedium, IBarrierMedium
{
    private readonly IStorageMedium _inner;
    private readonly IFlushableMedium? _flushable;
    private readonly IBarrierMedium? _barrier;
    private readonly Action<MediumCounts>? _closed;
    private long _writes, _writtenBytes, _flushes, _barriers;
    private int _isDisposed;

    /// <summary>Takes a medium over: disposing this one disposes it.</summary>
    /// <param name="inner">What it stands on.</param>
    /// <param name="closed">Told the counts once, at the end; or null.</param>
    public CountingMedium(IStorageMedium inner, Action<MediumCounts>? closed)
    {
        (_inner, _closed) = (inner, closed);
        // Asked for once: the answer never changes.
        _flushable = inner.GetCapability<IFlushableMedium>();
        _barrier = inner.GetCapability<IBarrierMedium>();
    }

    public string Name => _inner.Name;

    public long Length => _inner.Length;

    public bool IsReadOnly => _inner.IsReadOnly;

    /// <summary>What was counted so far.</summary>
    public MediumCounts Counts => new(Interlocked.Read(ref _writes), Interlocked.Read(ref _writtenBytes), Interlocked.Read(ref _flushes), Interlocked.Read(ref _barriers));

    // What can flush or order only where the medium beneath can; what the counts do not miss is passed on as it is; a descriptor or a mapping would be a
    // way around them.
    public T? GetCapability<T>() where T : class => typeof(T) switch
    {
        var type when type == typeof(IFlushableMedium) => _flushable is null ? null : this as T,
        var type when type == typeof(IBarrierMedium) => _barrier is null ? null : this as T,
        var type when type == typeof(INonBlockingMedium) || type == typeof(ISparseMedium) || type == typeof(IDeallocatingMedium) || type == typeof(IPreallocatingMedium)
            || type == typeof(IWriteCacheMedium) || type == typeof(IRemovableMedium) => _inner.GetCapability<T>(),
        _ => null,
    };

    public int Read(long offset, Span<byte> buffer) => _inner.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        _inner.Write(offset, data, content);
        Interlocked.Increment(ref _writes);
        Interlocked.Add(ref _writtenBytes, data.Length);
    }

    public void SetLength(long length) => _inner.SetLength(length);

    // A failure is passed on as it came, and never tried again: what it means is the ordering primitive's business.
    public void FlushData()
    {
        Interlocked.Increment(ref _flushes);
        _flushable!.FlushData();
    }

    public void FlushAll()
    {
        Interlocked.Increment(ref _flushes);
        _flushable!.FlushAll();
    }

    public void Barrier()
    {
        Interlocked.Increment(ref _barriers);
        _barrier!.Barrier();
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0) return;
        _inner.Dispose();
        _closed?.Invoke(Counts);
    }
}

/// <summary>What was counted.</summary>
/// <param name="Writes">Writes that the medium beneath took.</param>
/// <param name="WrittenBytes">Their bytes.</param>
/// <param name="Flushes">Flushes asked for.</param>
/// <param name="Barriers">Barriers asked for.</param>
internal readonly record struct MediumCounts(long Writes, long WrittenBytes, long Flushes, long Barriers);
