using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace StoragePlugins.Host.Disks;

/// <summary>
/// Group commit for one disk: flushes that wait at the same time share one flush of the inner disk.
/// </summary>
/// <remarks>
/// <para>A generation counts completed writes on any connection. A flush that asks for generation <i>g</i> is answered by the first inner
/// flush that starts at a generation ≥ <i>g</i>: a running one when nothing was written since it started, otherwise the next one, which
/// serves all that have gathered meanwhile. This is also NBD's multi-connection guarantee.</para>
/// <para>A flush with nothing written since the last successful one returns at once. The first flush after open always runs: an earlier
/// process may have left dirty state behind.</para>
/// <para>A failed inner flush is reported to all that shared it. <see cref="DurabilityLostException"/>, or anything that is not a
/// <see cref="StorageException"/> (then nobody knows whether a sync failed), poisons the gate: the inner flush is never called again.</para>
/// <para>Who waits for its flush anyway runs it itself when none is under way, which saves two wake-ups, as much as a flush of a fast device
/// costs. All others are run by one thread per disk, so that no number of waiting flushes takes a thread from reads, and nobody serves more than one
/// round for others. Waiters cost no memory of the gate's.</para>
/// </remarks>
internal sealed class FlushGate : IDisposable
{
    private const long NeverFlushed = -1;

    // Guards everything below; pulsed when a flush is asked for, when a round ends and at the end.
    private readonly object _state = new();
    private readonly Action _flush;
    private readonly string _name;
    private readonly Thread _thread;

    private long _written;
    private long _durable = NeverFlushed;
    private long _runningGeneration;
    private bool _running;
    private int _idleWaiters;
    private bool _held;
    private bool _disposed;
    private DurabilityLostException? _poison;
    private TicketList _sharing;
    private TicketList _waiting;

    /// <param name="name">The disk's name, for the thread and for messages.</param>
    /// <param name="flush">The inner flush; one call at a time.</param>
    public FlushGate(string name, Action flush)
    {
        _name = name;
        _flush = flush;
        _thread = new Thread(RunRounds) { IsBackground = true, Name = $"flush {name}" };
        _thread.Start();
    }

    /// <summary>Why durability is lost; <see langword="null"/> while it is not.</summary>
    public DurabilityLostException? Poison => Volatile.Read(ref _poison);

    /// <summary>Tickets that wait for a flush, without those of <see cref="Flush"/>: their callers are inside the disk.</summary>
    public int Waiting => _sharing.Outside + _waiting.Outside;

    /// <summary>Counts a write as completed. Call it after the write, before the guest hears of it.</summary>
    public void CountWrite() => Interlocked.Increment(ref _written);

    /// <summary>Writes counted so far.</summary>
    public long Written => Volatile.Read(ref _written);

    /// <summary>The generation that is durable; below 0 before the first flush.</summary>
    public long Durable => Volatile.Read(ref _durable);

    /// <summary>Durability was lost elsewhere than in a flush: every later flush fails.</summary>
    public void SetPoison(DurabilityLostException failure) => Interlocked.CompareExchange(ref _poison, failure, null);

    /// <summary>Asks for the durability of all writes counted so far. Never blocks.</summary>
    /// <param name="ticket">Its <see cref="FlushTicket.Flushed"/> is called exactly once: before this returns, or later on the flush thread.</param>
    public void Submit(FlushTicket ticket)
    {
        StorageException? refusal = null;
        lock (_state)
        {
            long target = Volatile.Read(ref _written);
            if (Poison is { } poison) refusal = poison;
            else if (_disposed) refusal = new StorageException(StorageError.ShuttingDown, "flush", _name, -1, 0, "the disk is closed");
            else if (_durable < target)
            {
                Enqueue(ticket, target);
                return;
            }
        }

        ticket.Flushed(refusal);
    }

    /// <summary>Asks for durability and waits for it.</summary>
    /// <exception cref="StorageException">The flush that this call shared failed.</exception>
    public void Flush()
    {
        if (TryBeginOwnRound() is { } generation)
        {
            if (RunRound(generation) is { } failure) ExceptionDispatchInfo.Throw(failure);
            return;
        }

        BlockingTicket ticket = BlockingTicket.OfThisThread;
        Submit(ticket);
        ticket.Wait();
    }

    /// <summary>Waits until no flush runs or waits.</summary>
    /// <returns>False when one did after <paramref name="timeout"/>.</returns>
    public bool WaitUntilIdle(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_state)
        {
            while (_running || !_waiting.IsEmpty)
            {
                if (!WaitForRound(timeout - Stopwatch.GetElapsedTime(start))) return false;
            }
        }

        return true;
    }

    /// <summary>Waits until no flush runs; none begins before <see cref="Release"/>. Who asks meanwhile waits.</summary>
    /// <returns>False, and nothing is held, when one still ran after <paramref name="timeout"/>.</returns>
    public bool Hold(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_state)
        {
            _held = true;
            while (_running)
            {
                if (WaitForRound(timeout - Stopwatch.GetElapsedTime(start))) continue;
                _held = false;
                Monitor.PulseAll(_state);
                return false;
            }
        }

        return true;
    }

    /// <summary>Ends a hold.</summary>
    public void Release()
    {
        lock (_state)
        {
            _held = false;
            Monitor.PulseAll(_state);
        }
    }

    /// <summary>Serves who waits already, then ends the thread. Later flushes are refused.</summary>
    public void Dispose()
    {
        lock (_state)
        {
            _disposed = true;
            Monitor.PulseAll(_state);
        }

        _thread.Join();
    }

    /// <summary>Waits for the end of a round.</summary>
    /// <returns>False when there is no time left to.</returns>
    private bool WaitForRound(TimeSpan left)
    {
        if (left <= TimeSpan.Zero) return false;
        _idleWaiters++;
        Monitor.Wait(_state, left);
        _idleWaiters--;
        return true;
    }

    /// <summary>Begins a round for the calling thread, if none runs or is due.</summary>
    /// <returns>The generation that it makes durable; null when the flush must be submitted.</returns>
    private long? TryBeginOwnRound()
    {
        lock (_state)
        {
            long written = Volatile.Read(ref _written);
            if (_running || _held || _disposed || !_waiting.IsEmpty || Poison is not null || _durable >= written) return null;
            _running = true;
            return _runningGeneration = written;
        }
    }

    private void Enqueue(FlushTicket ticket, long target)
    {
        if (_running && target <= _runningGeneration)
        {
            _sharing.Add(ticket);
            return;
        }

        _waiting.Add(ticket);
        if (!_running) Monitor.PulseAll(_state);
    }

    private void RunRounds()
    {
        while (true)
        {
            long generation;
            lock (_state)
            {
                while (_waiting.IsEmpty || _held || _running)
                {
                    if (_disposed && _waiting.IsEmpty && !_running) return;
                    if (_disposed && !_running) _held = false;
                    else Monitor.Wait(_state);
                }

                _running = true;
                _sharing = _waiting;
                _waiting = default;
                generation = _runningGeneration = Volatile.Read(ref _written);
            }

            RunRound(generation);
        }
    }

    /// <returns>Why nothing is promised; null when the generation is durable.</returns>
    private StorageException? RunRound(long generation)
    {
        StorageException? failure = Poison ?? FlushInner();
        TicketList served;
        lock (_state)
        {
            if (failure is null) Volatile.Write(ref _durable, generation);
            _running = false;
            served = _sharing;
            _sharing = default;
            if (!_waiting.IsEmpty || _idleWaiters > 0 || _disposed) Monitor.PulseAll(_state);
        }

        served.CompleteAll(failure);
        return failure;
    }

    private StorageException? FlushInner()
    {
        try
        {
            _flush();
            return null;
        }
        catch (DurabilityLostException lost)
        {
            SetPoison(lost);
            return lost;
        }
        catch (StorageException failed)
        {
            return failed;
        }
        catch (Exception unexpected)
        {
            SetPoison(new DurabilityLostException("flush", _name, unexpected.Message, unexpected));
            return Poison;
        }
    }

    private struct TicketList
    {
        private FlushTicket? _head;
        private FlushTicket? _tail;

        public readonly bool IsEmpty => _head is null;

        /// <summary>Those whose askers are not inside the disk.</summary>
        public int Outside { get; private set; }

        public void Add(FlushTicket ticket)
        {
            if (ticket is not BlockingTicket) Outside++;
            ticket.Next = null;
            if (_tail is null) _head = ticket;
            else _tail.Next = ticket;
            _tail = ticket;
        }

        public readonly void CompleteAll(StorageException? failure)
        {
            for (FlushTicket? ticket = _head; ticket is not null;)
            {
                // A completed ticket may be in use again before the loop goes on.
                FlushTicket? next = ticket.Next;
                ticket.Next = null;
                ticket.Flushed(failure);
                ticket = next;
            }
        }
    }

    private sealed class BlockingTicket : FlushTicket
    {
        [ThreadStatic]
        private static BlockingTicket? t_ticket;

        private readonly object _lock = new();
        private bool _isDone;
        private StorageException? _failure;

        public static BlockingTicket OfThisThread => t_ticket ??= new BlockingTicket();

        public override void Flushed(StorageException? failure)
        {
            lock (_lock)
            {
                _failure = failure;
                _isDone = true;
                Monitor.Pulse(_lock);
            }
        }

        public void Wait()
        {
            StorageException? failure;
            lock (_lock)
            {
                while (!_isDone) Monitor.Wait(_lock);
                _isDone = false;
                failure = _failure;
                _failure = null;
            }

            if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        }
    }
}

/// <summary>Somebody who waits for a flush. Reusable once it has been answered; in one gate at a time.</summary>
internal abstract class FlushTicket
{
    /// <summary>Link of the gate's list.</summary>
    internal FlushTicket? Next { get; set; }

    /// <summary>The flush is over. Must not block or throw: it runs on the thread that serves all flushes of the disk.</summary>
    /// <param name="failure">Why nothing is promised; <see langword="null"/> when it is durable.</param>
    public abstract void Flushed(StorageException? failure);
}
