using Microsoft.Extensions.Logging;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.Recorder;

/// <summary>A medium that does what the one beneath does, and logs it when it has returned.</summary>
/// <remarks>
/// <para>Concurrent requests stand in the log in the order in which they returned; a flush stands where it was submitted, so that what returned before is
/// before it and what returned later is behind it. That is what a flush promises, and how dm-log-writes orders its log.</para>
/// <para>Room in the log is set aside before anything is done: a log at its bound refuses the request, and the image stays as it is. When the log cannot be written after the
/// image was, the request fails, and every later one that writes or flushes: the log would have a hole. Reads go on.</para>
/// <para>Not passed on, since it would go by the log: <see cref="IFileMedium"/>, <see cref="IMappableMedium"/>, <see cref="IPersistentMemory"/>.</para>
/// </remarks>
internal sealed class RecordingMedium : IStorageMedium, IFlushableMedium, IBarrierMedium, IDeallocatingMedium, IPreallocatingMedium
{
    private readonly IStorageMedium _inner;
    private readonly DmLogWritesWriter _log;
    private readonly ILogger _logger;
    private readonly IFlushableMedium? _flushable;
    private readonly IBarrierMedium? _barrier;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly IPreallocatingMedium? _preallocating;
    private bool _isDisposed;

    public RecordingMedium(IStorageMedium inner, DmLogWritesWriter log, ILogger logger)
    {
        (_inner, _log, _logger) = (inner, log, logger);
        _flushable = inner.GetCapability<IFlushableMedium>();
        _barrier = inner.GetCapability<IBarrierMedium>();
        _deallocating = inner.GetCapability<IDeallocatingMedium>();
        _preallocating = inner.GetCapability<IPreallocatingMedium>();
    }

    public string Name => _inner.Name;

    public long Length => _inner.Length;

    public bool IsReadOnly => _inner.IsReadOnly;

    public long FreeBytes => _preallocating!.FreeBytes;

    public T? GetCapability<T>() where T : class => this switch
    {
        _ when typeof(T) == typeof(IFlushableMedium) => _flushable is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IBarrierMedium) => _barrier is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IDeallocatingMedium) => _deallocating is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(IPreallocatingMedium) => _preallocating is null ? null : (T)(object)this,
        _ when typeof(T) == typeof(INonBlockingMedium) || typeof(T) == typeof(ISparseMedium) || typeof(T) == typeof(IWriteCacheMedium) => _inner.GetCapability<T>(),
        _ => null,
    };

    public int Read(long offset, Span<byte> buffer) => _inner.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        long room = Claim(data.Length);
        try
        {
            try
            {
                _inner.Write(offset, data, content);
            }
            catch (StorageException)
            {
                LogAsFound(offset, data.Length, content);
                throw;
            }

            _log.Write(offset, data, content);
        }
        finally
        {
            _log.Release(room);
        }
    }

    public void SetLength(long length)
    {
        long room = Claim(0);
        try
        {
            _inner.SetLength(length);
            _log.SetLength(length);
        }
        finally
        {
            _log.Release(room);
        }
    }

    public void FlushData() => Flush(isAll: false);

    public void FlushAll() => Flush(isAll: true);

    public void Barrier()
    {
        long room = Claim(0);
        try
        {
            long place = _log.BeginBarrier();
            bool hasFailed = true;
            try
            {
                _barrier!.Barrier();
                hasFailed = false;
            }
            finally
            {
                _log.EndBarrier(place, hasFailed);
            }
        }
        finally
        {
            _log.Release(room);
        }
    }

    public bool TryPunchHole(long offset, long length)
    {
        long room = Claim(0);
        try
        {
            if (!_deallocating!.TryPunchHole(offset, length)) return false;
            _log.Zero(offset, length, ContentClass.GuestData);
            return true;
        }
        finally
        {
            _log.Release(room);
        }
    }

    public bool TryZeroRange(long offset, long length)
    {
        long room = Claim(0);
        try
        {
            if (!_deallocating!.TryZeroRange(offset, length)) return false;
            // A file grows with it.
            if (_inner.Length >= offset + length) _log.GrowTo(offset + length, ContentClass.GuestData);
            _log.Zero(offset, length, ContentClass.GuestData);
            return true;
        }
        finally
        {
            _log.Release(room);
        }
    }

    public void Preallocate(long offset, long length)
    {
        long room = Claim(0);
        try
        {
            try
            {
                _preallocating!.Preallocate(offset, length);
            }
            catch (StorageException)
            {
                LogAsFound(offset, length, ContentClass.Preallocation);
                throw;
            }

            _log.GrowTo(offset + length, ContentClass.Preallocation);
            _log.Zero(offset, length, ContentClass.Preallocation);
        }
        finally
        {
            _log.Release(room);
        }
    }

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        try
        {
            _log.Complete();
        }
        catch (StorageException e)
        {
            _logger.LogWarning("{Image}: the recording is not whole: {Reason}", Name, e.Message);
        }
        finally
        {
            _log.Dispose();
            _inner.Dispose();
        }
    }

    private void Flush(bool isAll)
    {
        long room = Claim(0);
        try
        {
            long place = _log.BeginFlush();
            bool hasFailed = true;
            try
            {
                if (isAll) _flushable!.FlushAll();
                else _flushable!.FlushData();
                hasFailed = false;
            }
            finally
            {
                _log.EndFlush(place, hasFailed);
            }
        }
        finally
        {
            _log.Release(room);
        }
    }

    // Twice what one operation needs: growth is logged on its own.
    private long Claim(long dataBytes)
    {
        long room = 2 * _log.CostOf(0) + dataBytes;
        _log.Claim(room);
        return room;
    }

    // A failed write may have written any part of its range.
    private void LogAsFound(long offset, long length, ContentClass content) => _log.WriteAsFound(offset, Math.Min(length, _inner.Length - offset), content);
}
