using StoragePlugins;

namespace Samples.DsyncOrdering;

/// <summary>
/// A medium whose writes are durable when they return. What cannot be written synchronously (a changed length, a hole) is flushed by the next barrier or flush.
/// </summary>
/// <remarks>
/// <para>Writes run at once with each other, and no barrier or flush returns while one is under way: of several syncs of one file Linux tells only one that a
/// write was lost, and it may be another's. So whoever flushes waits for all of them and then looks whether one was told.</para>
/// <para>A medium without a descriptor (a simulation, a slowed-down device) is written and then flushed, which is what O_DSYNC is.</para>
/// </remarks>
internal sealed class DsyncMedium(IStorageMedium medium, IFlushableMedium flushable, SynchronousFile? file) : IOrderedMedium, IDeallocatingMedium, IPreallocatingMedium
{
    // Readers change the medium, the writer syncs it.
    private readonly ReaderWriterLockSlim _changing = new(LockRecursionPolicy.NoRecursion);
    private readonly IDeallocatingMedium? _deallocating = medium.GetCapability<IDeallocatingMedium>();
    private readonly IPreallocatingMedium? _preallocating = medium.GetCapability<IPreallocatingMedium>();
    private Exception? _failure;
    private int _isUnsynced;

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public long FreeBytes => _preallocating!.FreeBytes;

    public T? GetCapability<T>() where T : class => typeof(T) switch
    {
        var type when type == typeof(IDeallocatingMedium) => _deallocating is null ? null : this as T,
        var type when type == typeof(IPreallocatingMedium) => _preallocating is null ? null : this as T,
        var type when type == typeof(INonBlockingMedium) || type == typeof(ISparseMedium) || type == typeof(IWriteCacheMedium) => medium.GetCapability<T>(),
        // Flushes, barriers, descriptors and mappings would go behind this object's back.
        _ => null,
    };

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (data.IsEmpty) return;
        _changing.EnterReadLock();
        try
        {
            ThrowIfPoisoned();
            // The medium keeps its own length, so it makes the writes that change it.
            if (file is not null && offset + data.Length <= medium.Length) WriteSynchronously(file, offset, data, content);
            else WriteAndFlush(offset, data, content);
        }
        finally
        {
            _changing.ExitReadLock();
        }
    }

    public void SetLength(long length) => Change(length, 0, static (self, length, _) =>
    {
        self.Medium.SetLength(length);
        return true;
    });

    public bool TryPunchHole(long offset, long length) => Change(offset, length, static (self, offset, length) => self._deallocating!.TryPunchHole(offset, length));

    public bool TryZeroRange(long offset, long length) => Change(offset, length, static (self, offset, length) => self._deallocating!.TryZeroRange(offset, length));

    public void Preallocate(long offset, long length) => Change(offset, length, static (self, offset, length) =>
    {
        self._preallocating!.Preallocate(offset, length);
        return true;
    });

    public void Barrier() => Settle("barrier");

    public void Flush() => Settle("flush");

    public void Dispose()
    {
        medium.Dispose();
        _changing.Dispose();
    }

    private IStorageMedium Medium => medium;

    private void WriteSynchronously(SynchronousFile target, long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        try
        {
            target.Write(offset, data, content);
        }
        catch (DurabilityLostException failure)
        {
            Poison(failure);
            throw;
        }
    }

    private void WriteAndFlush(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        medium.Write(offset, data, content);
        try
        {
            flushable.FlushData();
        }
        catch (Exception failure)
        {
            // The write itself is done and can be read, and a write promises nothing lasting: whoever asks for that next is told.
            Poison(failure);
        }
    }

    private bool Change(long offset, long length, Func<DsyncMedium, long, long, bool> change)
    {
        _changing.EnterReadLock();
        try
        {
            ThrowIfPoisoned();
            Volatile.Write(ref _isUnsynced, 1);
            return change(this, offset, length);
        }
        finally
        {
            _changing.ExitReadLock();
        }
    }

    private void Settle(string purpose)
    {
        _changing.EnterWriteLock();
        try
        {
            ThrowIfPoisoned();
            if (_isUnsynced == 0) return;
            try
            {
                flushable.FlushData();
                _isUnsynced = 0;
            }
            catch (Exception failure)
            {
                Poison(failure);
                throw new DurabilityLostException(purpose, Name, failure.Message, failure);
            }
        }
        finally
        {
            _changing.ExitWriteLock();
        }
    }

    // The first failure is the one to tell; nothing is ever tried again after it.
    private void Poison(Exception failure) => Interlocked.CompareExchange(ref _failure, failure, null);

    private void ThrowIfPoisoned()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new DurabilityLostException("synchronous write", Name, $"an earlier one failed ({failure.Message}); close the disk, check the device and open it again", failure);
    }
}
