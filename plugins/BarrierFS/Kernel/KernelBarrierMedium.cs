using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.BarrierFS.Kernel;

/// <summary>
/// Barriers by <c>fdatabarrier(2)</c>. One submitter at a time: the published kernel crashes within a minute under concurrent writers, so
/// that writes, barriers and flushes take turns. Reads do not.
/// </summary>
internal sealed class KernelBarrierMedium(IStorageMedium medium, IFlushableMedium flushable, BarrierCall call, SafeFileHandle file, StorageMeter meter)
    : IOrderedMedium, IDeallocatingMedium, IPreallocatingMedium
{
    private readonly Lock _submitter = new();
    private readonly Poison _poison = new(medium.Name);
    private readonly IDeallocatingMedium? _deallocating = medium.GetCapability<IDeallocatingMedium>();
    private readonly IPreallocatingMedium? _preallocating = medium.GetCapability<IPreallocatingMedium>();

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            medium.Write(offset, data, content);
        }
    }

    public void SetLength(long length)
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            medium.SetLength(length);
        }
    }

    public bool TryPunchHole(long offset, long length)
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            return _deallocating!.TryPunchHole(offset, length);
        }
    }

    public bool TryZeroRange(long offset, long length)
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            return _deallocating!.TryZeroRange(offset, length);
        }
    }

    public long FreeBytes => _preallocating!.FreeBytes;

    public void Preallocate(long offset, long length)
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            _preallocating!.Preallocate(offset, length);
        }
    }

    public void Barrier()
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            SyscallResult result = call.Invoke(file);
            if (result.Value != 0) _poison.Set("barrier", BarrierCall.Failure(result, Name));
            _poison.ThrowIfSet();
        }

        meter.CountBarrier();
    }

    public void Flush()
    {
        lock (_submitter)
        {
            _poison.ThrowIfSet();
            try
            {
                flushable.FlushData();
            }
            catch (Exception e)
            {
                _poison.Set("flush", e);
            }

            _poison.ThrowIfSet();
        }
    }

    // Only what keeps to the one submitter: the descriptor itself, or an ability that is not known here, would not.
    public T? GetCapability<T>() where T : class
        => typeof(T) == typeof(IDeallocatingMedium) ? _deallocating is null ? null : this as T
            : typeof(T) == typeof(IPreallocatingMedium) ? _preallocating is null ? null : this as T
            : typeof(T) == typeof(INonBlockingMedium) || typeof(T) == typeof(ISparseMedium) || typeof(T) == typeof(IWriteCacheMedium) ? medium.GetCapability<T>()
            : null;

    public void Dispose() => medium.Dispose();
}
