namespace StoragePlugins.SimulatedMedia;

/// <summary>A medium whose flushes, barriers and writes take longer. What it does is what the medium beneath does; that one also counts.</summary>
/// <remarks>
/// <para>Not passed on: <see cref="IFileMedium"/> and <see cref="IPersistentMemory"/>, through which writes and flushes would go by the costs. Barriers are
/// passed on when the medium beneath has them, never made up: order that does not hold over a power cut is no order. A mapping is passed on: memory is
/// not the slow device, unless it takes <c>msync(2)</c> to make it durable, which then costs a flush.</para>
/// <para>A cost of flushing is that of draining a volatile cache: with one, a device that calls itself write-through is reported as volatile.</para>
/// </remarks>
internal sealed class SlowMedium : IStorageMedium, IFlushableMedium, IBarrierMedium, IPreallocatingMedium, IWriteCacheMedium, IMappableMedium
{
    /// <summary>Zeros written ahead reach a device in requests of this size; each costs a write.</summary>
    private const long PreallocationRequestBytes = 1 << 20;

    private readonly IStorageMedium _inner;
    private readonly DeviceCosts _costs;
    private readonly DeviceClock _device = new();
    private readonly IFlushableMedium? _flushable;
    private readonly IBarrierMedium? _barrier;
    private readonly IPreallocatingMedium? _preallocating;
    private readonly IWriteCacheMedium? _writeCache;
    private readonly IMappableMedium? _mappable;

    // Where the last write ended, and how many jumps the next flush has to pay for.
    private long _head = -1;
    private long _jumps;

    public SlowMedium(IStorageMedium inner, DeviceCosts costs)
    {
        _inner = inner;
        _costs = costs;
        _flushable = inner.GetCapability<IFlushableMedium>();
        _barrier = inner.GetCapability<IBarrierMedium>();
        _preallocating = inner.GetCapability<IPreallocatingMedium>();
        _writeCache = inner.GetCapability<IWriteCacheMedium>();
        _mappable = inner.GetCapability<IMappableMedium>();
    }

    public string Name => _inner.Name;

    public long Length => _inner.Length;

    public bool IsReadOnly => _inner.IsReadOnly;

    public WriteCacheKind WriteCache => _writeCache!.WriteCache switch
    {
        WriteCacheKind.WriteThrough when _costs.Flush + _costs.Seek > TimeSpan.Zero => WriteCacheKind.Volatile,
        WriteCacheKind known => known,
    };

    public T? GetCapability<T>() where T : class => this switch
    {
        _ when typeof(T) == typeof(IFlushableMedium) => _flushable is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IBarrierMedium) => _barrier is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IPreallocatingMedium) => _preallocating is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IWriteCacheMedium) => _writeCache is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IMappableMedium) => _mappable is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(INonBlockingMedium) || typeof(T) == typeof(ISparseMedium) || typeof(T) == typeof(IDeallocatingMedium) || typeof(T) == typeof(IRemovableMedium) => _inner.GetCapability<T>(),
        _ => null,
    };

    public int Read(long offset, Span<byte> buffer) => _inner.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        _inner.Write(offset, data, content);
        if (Interlocked.Exchange(ref _head, offset + data.Length) != offset) Interlocked.Increment(ref _jumps);
        _device.Spend(_costs.Write);
    }

    public void SetLength(long length) => _inner.SetLength(length);

    public void FlushData()
    {
        _flushable!.FlushData();
        SpendFlush();
    }

    public void FlushAll()
    {
        _flushable!.FlushAll();
        SpendFlush();
    }

    public void Barrier()
    {
        _barrier!.Barrier();
        _device.Spend(_costs.Barrier);
    }

    public long FreeBytes => _preallocating!.FreeBytes;

    public void Preallocate(long offset, long length)
    {
        _preallocating!.Preallocate(offset, length);
        _device.Spend(_costs.Write * ((length + PreallocationRequestBytes - 1) / PreallocationRequestBytes));
    }

    public IPersistentMemory Map(MappingRequest request)
    {
        IPersistentMemory memory = _mappable!.Map(request);
        return memory.Domain == PersistenceDomain.Msync ? new SlowMemory(memory, SpendFlush) : memory;
    }

    public void Dispose() => _inner.Dispose();

    private void SpendFlush() => _device.Spend(_costs.Flush + (_costs.Seek * Interlocked.Exchange(ref _jumps, 0)));
}
