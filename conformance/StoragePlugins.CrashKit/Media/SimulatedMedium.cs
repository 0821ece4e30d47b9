using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Media;

/// <summary>
/// A medium over a simulated device that records all that is asked of it: writes, zeroes, lengths, flushes, barriers, and through
/// <see cref="Map"/> stores, line flushes and fences.
/// </summary>
/// <remarks>Thread-safe, as every medium. Reads see every write at once; what a power cut leaves is decided later, from the trace.</remarks>
public sealed class SimulatedMedium : IStorageMedium, IFlushableMedium, IBarrierMedium, IDeallocatingMedium, IPreallocatingMedium, IMappableMedium, IRemovableMedium
{
    private readonly Device _device;
    private readonly int _index;
    private readonly Trace? _trace;
    private readonly MediumFaults? _faults;
    private IPersistentMemory? _mapped;

    internal SimulatedMedium(Device device, int index, Trace? trace, MediumFaults? faults, bool isReadOnly)
    {
        (_device, _index, _trace, _faults) = (device, index, trace, faults);
        IsReadOnly = isReadOnly;
    }

    /// <inheritdoc/>
    public string Name => _device.Name;

    /// <inheritdoc/>
    public long Length => _device.Image.Length;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public long FreeBytes => DeviceImage.MaxLength - Length;

    /// <inheritdoc/>
    public int Read(long offset, Span<byte> buffer)
    {
        _faults?.BeforeRead(_index, offset, buffer.Length);
        return _device.Image.Read(offset, buffer);
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        ThrowIfReadOnly("write", offset, data.Length);
        if (data.IsEmpty) return;
        StorageException? failure = FailureOf(offset, ref data, content);
        if (data.IsEmpty) throw failure!;
        TraceEvent? entry = _trace?.Begin(TraceKind.Write, _index, offset, data.Length, data, content);
        _device.Image.Write(offset, data);
        End(entry);
        if (failure is not null) throw failure;
    }

    /// <inheritdoc/>
    public void SetLength(long length)
    {
        ThrowIfReadOnly("set the length", length, 0);
        _faults?.BeforeWrite(_index, length, 0, ContentClass.Preallocation);
        TraceEvent? entry = _trace?.Begin(TraceKind.SetLength, _index, length);
        _device.Image.SetLength(length);
        End(entry);
    }

    /// <inheritdoc/>
    public void FlushData()
    {
        TraceEvent? entry = _trace?.Begin(TraceKind.Flush, _index);
        Attempt(entry, faults => faults.BeforeFlush(_index));
    }

    /// <inheritdoc/>
    public void FlushAll() => FlushData();

    /// <inheritdoc/>
    public void Barrier()
    {
        TraceEvent? entry = _trace?.Begin(TraceKind.Barrier, _index);
        Attempt(entry, faults => faults.BeforeBarrier(_index));
    }

    /// <inheritdoc/>
    public bool TryPunchHole(long offset, long length) => TryZeroRange(offset, length);

    /// <inheritdoc/>
    public bool TryZeroRange(long offset, long length)
    {
        ThrowIfReadOnly("zero", offset, length);
        _faults?.BeforeWrite(_index, offset, (int)Math.Min(length, int.MaxValue), ContentClass.GuestData);
        TraceEvent? entry = _trace?.Begin(TraceKind.Zero, _index, offset, length);
        _device.Image.Zero(offset, length);
        End(entry);
        return true;
    }

    /// <inheritdoc/>
    public void Preallocate(long offset, long length)
    {
        ThrowIfReadOnly("preallocate", offset, length);
        _faults?.BeforeWrite(_index, offset, (int)Math.Min(length, int.MaxValue), ContentClass.Preallocation);
        TraceEvent? entry = _trace?.Begin(TraceKind.Zero, _index, offset, length, content: ContentClass.Preallocation);
        _device.Image.Extend(offset + length);
        _device.Image.Zero(offset, length);
        End(entry);
    }

    /// <inheritdoc/>
    /// <remarks>The domain asked for, or the device's own: what is explored is what was asked for.</remarks>
    public IPersistentMemory Map(MappingRequest request)
    {
        PersistenceDomain domain = _device.Traits.Memory ?? throw new DiagnosticException("SP5020", "this simulated device cannot be mapped", Name, fix: "use the model pm");
        _device.MappedAs = request.Domain ?? domain;
        return new SimulatedMemory(_device.Image, _index, request.Domain ?? domain, _trace, _faults) { IsReadOnly = IsReadOnly };
    }

    /// <inheritdoc/>
    /// <remarks>It becomes empty, durably, and an empty one counts as not there.</remarks>
    public void Remove()
    {
        SetLength(0);
        _trace?.Add(TraceKind.Flush, _index);
    }

    /// <inheritdoc/>
    public T? GetCapability<T>() where T : class
    {
        if (typeof(T) == typeof(IPersistentMemory)) return _device.Traits.IsMapped ? (T)(_mapped ??= Map(new MappingRequest())) : null;
        bool has = typeof(T) == typeof(IFlushableMedium)
            || (typeof(T) == typeof(IRemovableMedium) && _index > 0)
            || (typeof(T) == typeof(IBarrierMedium) && _device.Traits.HasBarrier)
            || (typeof(T) == typeof(IMappableMedium) && _device.Traits.Memory is not null)
            || (typeof(T) == typeof(IPreallocatingMedium) && _device.Traits.Preallocates)
            || (typeof(T) == typeof(IDeallocatingMedium) && _device.Traits.Deallocates);
        return has ? (T)(object)this : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    // Leaves of the data what is written though the write fails.
    private StorageException? FailureOf(long offset, ref ReadOnlySpan<byte> data, ContentClass content)
    {
        try
        {
            _faults?.BeforeWrite(_index, offset, data.Length, content);
            return null;
        }
        catch (StorageException failure)
        {
            data = data[.._faults!.WrittenOfFailed(_index, offset, data.Length)];
            return failure;
        }
    }

    private void Attempt(TraceEvent? entry, Action<MediumFaults> attempt)
    {
        try
        {
            if (_faults is not null) attempt(_faults);
        }
        catch
        {
            if (entry is not null) _trace!.Fail(entry);
            throw;
        }

        End(entry);
    }

    private void End(TraceEvent? entry)
    {
        if (entry is not null) _trace!.End(entry);
    }

    private void ThrowIfReadOnly(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, Name, offset, length, "it is open for reading only");
    }
}
