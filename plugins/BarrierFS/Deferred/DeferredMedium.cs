using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.BarrierFS.Deferred;

/// <summary>
/// Barriers that return at once on any medium that can be flushed: nothing of a later epoch is given to the medium before the fdatasync
/// of the earlier one has returned.
/// </summary>
/// <remarks>
/// <para>Nothing held: writes go straight through, by any number of threads. A barrier puts the end of the epoch into the queue, and as
/// long as the queue is not empty every write goes into it. One thread at a time, the driver, carries the queue out in its order:
/// whoever waits for it (a flush, an operation with an answer, a writer without room), else the background thread, which a barrier wakes
/// and which gives the others <see cref="LingerMilliseconds"/> to come first: handing a sync to another thread costs as much as a fast one.</para>
/// <para>Syncs are the driver's alone. Linux reports a lost write to one of two concurrent fdatasync calls only; the other would be
/// believed.</para>
/// </remarks>
internal sealed partial class DeferredMedium : IOrderedMedium, INonBlockingMedium, IDeallocatingMedium, IPreallocatingMedium, ISparseMedium
{
    /// <summary>A flush waits for a sync of each: 64 of 10 ms (a hard disk) stay below a second. Beyond it writes wait.</summary>
    internal const int MaxClosedEpochs = 64;

    /// <summary>A flush that follows its barrier at once, as in a commit, is there in a few microseconds; this is the shortest sleep.</summary>
    private const int LingerMilliseconds = 1;

    /// <summary>A read that pieces leave the queue under so often is done with the queue at rest.</summary>
    private const int MaxReadAttempts = 4;

    private readonly object _gate = new(); // a Monitor: waited on and pulsed
    private readonly AutoResetEvent _work = new(false);
    private readonly IStorageMedium _medium;
    private readonly IFlushableMedium _flushable;
    private readonly StorageMeter _meter;
    private readonly ILogger _logger;
    private readonly INonBlockingMedium? _nonBlocking;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly IPreallocatingMedium? _preallocating;
    private readonly ISparseMedium? _sparse;
    private readonly EpochQueue _queue;
    private readonly Poison _poison;
    private Thread? _thread;
    private bool _isDriven;
    private bool _isWoken;
    private bool _isStopping;
    private int _waiting;

    // Writes that the medium is carrying out for their own callers.
    private int _inFlight;

    // Changes that the medium has completed, and how many of them a sync covers. What was written before the medium was opened is one.
    private long _changes = 1;
    private long _synced;

    public DeferredMedium(IStorageMedium medium, IFlushableMedium flushable, long queueBytes, StorageMeter meter, ILogger logger)
    {
        _medium = medium;
        _flushable = flushable;
        _meter = meter;
        _logger = logger;
        _queue = new EpochQueue(queueBytes);
        _poison = new Poison(medium.Name);
        _nonBlocking = medium.GetCapability<INonBlockingMedium>();
        _deallocating = medium.GetCapability<IDeallocatingMedium>();
        _preallocating = medium.GetCapability<IPreallocatingMedium>();
        _sparse = medium.GetCapability<ISparseMedium>();
    }

    public string Name => _medium.Name;

    // In this order: what leaves the queue has grown the medium before.
    public long Length => Math.Max(_queue.End, _medium.Length);

    public bool IsReadOnly => _medium.IsReadOnly;

    /// <summary>Bytes of memory that are held back now.</summary>
    internal long HeldBytes
    {
        get
        {
            lock (_gate) return _queue.HeldBytes;
        }
    }

    // What reads or writes the medium by itself (a descriptor, an ability that is not known here) would not see what is held, nor its order.
    public T? GetCapability<T>() where T : class
        => typeof(T) == typeof(INonBlockingMedium) ? Own<T>(_nonBlocking)
            : typeof(T) == typeof(IDeallocatingMedium) ? Own<T>(_deallocating)
            : typeof(T) == typeof(IPreallocatingMedium) ? Own<T>(_preallocating)
            : typeof(T) == typeof(ISparseMedium) ? Own<T>(_sparse)
            : typeof(T) == typeof(IWriteCacheMedium) ? _medium.GetCapability<T>()
            : null;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "write", Name, offset, data.Length, "it was opened read-only");
        if (!TryHold(ref offset, ref data, content)) return;
        try
        {
            _medium.Write(offset, data, content);
        }
        finally
        {
            LeaveDirect();
        }
    }

    public void SetLength(long length) => Operate(HeldKind.SetLength, 0, length);

    public bool TryPunchHole(long offset, long length) => Operate(HeldKind.PunchHole, offset, length);

    public bool TryZeroRange(long offset, long length) => Operate(HeldKind.ZeroRange, offset, length);

    public void Preallocate(long offset, long length) => Operate(HeldKind.Preallocate, offset, length);

    public void Barrier()
    {
        lock (_gate)
        {
            _poison.ThrowIfSet();
            // Writes in flight may fall behind this barrier; only those that returned count.
            if (_queue.IsEmpty ? _changes == _synced : _queue.IsOpenEpochEmpty) return;
            StartThread();
            _queue.CloseEpoch();
            WakeThread();
        }

        _meter.CountBarrier();
    }

    public void Flush()
    {
        lock (_gate)
        {
            _poison.ThrowIfSet();
            if (_queue.IsEmpty) SyncUpTo(_changes);
            else DriveUpTo(_queue.CloseEpoch());
        }
    }

    public int Read(long offset, Span<byte> buffer)
    {
        if (!IsHeld(offset, buffer.Length)) return _medium.Read(offset, buffer);
        int done = 0;
        while (done < buffer.Length)
        {
            int piece = EpochQueue.PieceLength(offset + done, buffer.Length - done);
            int got = ReadPiece(offset + done, buffer.Slice(done, piece));
            done += got;
            if (got < piece) break;
        }

        return done;
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        if (!IsHeld(offset, buffer.Length)) return _nonBlocking!.TryRead(offset, buffer);
        int done = 0;
        while (done < buffer.Length)
        {
            int length = EpochQueue.PieceLength(offset + done, buffer.Length - done);
            Span<byte> piece = buffer.Slice(done, length);
            int stamp = _queue.Stamp(offset + done);
            if (!_nonBlocking!.TryRead(offset + done, piece)) return false;
            lock (_gate)
            {
                if (_queue.Stamp(offset + done) != stamp) return false;
                _queue.Overlay(offset + done, piece);
            }

            done += length;
        }

        return true;
    }

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        // While anything is held, data is the answer that is never wrong.
        if (_queue.IsEmpty) return _sparse!.DescribeRun(offset);
        long rest = Length - offset;
        return rest > 0 ? (rest, false) : (0, true);
    }

    /// <summary>What is held goes to the medium, in its order. Nothing may be under way.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_isStopping) return;
            while (!_queue.IsEmpty && !_poison.IsSet) DriveOrWait(long.MaxValue);
            if (!_queue.IsEmpty) _logger.LogError("{Medium}: writes that were held back behind a failed sync or write are lost: none of them had been flushed", Name);
            _isStopping = true;
        }

        _work.Set();
        _thread?.Join();
        _work.Dispose();
        _medium.Dispose();
    }

    private T? Own<T>(object? inner) where T : class => inner is null ? null : this as T;

    /// <summary>Holds a write back as far as the queue is not empty.</summary>
    /// <returns>True when the rest, which <paramref name="offset"/> and <paramref name="data"/> are left at, goes straight to the medium.</returns>
    private bool TryHold(ref long offset, ref ReadOnlySpan<byte> data, ContentClass content)
    {
        while (true)
        {
            // Let go of between pieces: a large write does not keep others out.
            lock (_gate)
            {
                _poison.ThrowIfSet();
                if (data.IsEmpty) return false;
                if (_queue.IsEmpty)
                {
                    _inFlight++;
                    return true;
                }

                int piece = EpochQueue.PieceLength(offset, data.Length);
                if (_queue.ClosedEpochs >= MaxClosedEpochs || !_queue.TryHold(offset, data[..piece], content))
                {
                    DriveOrWait(0);
                    continue;
                }

                offset += piece;
                data = data[piece..];
            }
        }
    }

    private void LeaveDirect()
    {
        lock (_gate)
        {
            // Also after a failure: any part of it may be there.
            _changes++;
            if (--_inFlight == 0) WakeWaiting();
        }
    }

    /// <summary>An operation whose caller waits for its answer, at its place in the order.</summary>
    private bool Operate(HeldKind kind, long offset, long length)
    {
        lock (_gate)
        {
            _poison.ThrowIfSet();
            if (_queue.IsEmpty)
            {
                _inFlight++;
            }
            else
            {
                HeldOperation held = _queue.Append(kind, offset, length);
                DriveUpTo(held.Ticket);
                (bool result, Exception? error) = (held.Result, held.Error);
                _queue.Recycle(held);
                if (error is not null) ExceptionDispatchInfo.Throw(error);
                return result;
            }
        }

        try
        {
            return Perform(kind, offset, length);
        }
        finally
        {
            LeaveDirect();
        }
    }

    private bool Perform(HeldKind kind, long offset, long length)
    {
        switch (kind)
        {
            case HeldKind.PunchHole: return _deallocating!.TryPunchHole(offset, length);
            case HeldKind.ZeroRange: return _deallocating!.TryZeroRange(offset, length);
            case HeldKind.Preallocate: _preallocating!.Preallocate(offset, length); return true;
            case HeldKind.SetLength: _medium.SetLength(length); return true;
            default: throw new InvalidOperationException($"{kind} is no operation with an answer.");
        }
    }

    private bool IsHeld(long offset, int length)
    {
        if (_queue.IsEmpty) return false;
        lock (_gate) return _queue.Touches(offset, length) || _queue.End > _medium.Length;
    }

    private int ReadPiece(long offset, Span<byte> piece)
    {
        for (int attempt = 0; attempt < MaxReadAttempts; attempt++)
        {
            int stamp = _queue.Stamp(offset);
            int got = _medium.Read(offset, piece);
            lock (_gate)
            {
                // What left the queue in between may have come too late for this read and is too early for the overlay.
                if (_queue.Stamp(offset) == stamp) return Complete(offset, piece, got);
            }
        }

        lock (_gate) return Complete(offset, piece, _medium.Read(offset, piece));
    }

    private int Complete(long offset, Span<byte> piece, int got)
    {
        int there = Math.Max(got, (int)Math.Clamp(Length - offset, 0, piece.Length));
        piece[got..there].Clear();
        _queue.Overlay(offset, piece[..there]);
        return there;
    }
}
