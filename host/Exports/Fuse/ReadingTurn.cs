using System.Diagnostics;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>
/// Lets one thread of a mount at a time wait for requests: a program that waits for each answer is served by one and the same thread.
/// </summary>
/// <remarks>
/// <para>The kernel wakes threads that wait in read(2) in turn. With one of them the scheduler brings caller and server onto one processor within
/// some thousand requests at the latest (<see cref="CallerPlacement"/>), where one goes on as the other goes to sleep; with several it does not, and each request pays for waking a thread up elsewhere
/// (docs/mount.md has the figures). So the others are parked here, the last one first to go on.</para>
/// <para>The one who reads passes the turn on before it answers when it is not to be waited for: more requests wait already, or the ones before took
/// long and others came meanwhile. Where that was wrong, a watch passes the turn on for it. Two threads that read at once, for a moment, do no harm.</para>
/// <para>Threads are started when the turn is passed and all others are busy.</para>
/// </remarks>
internal sealed class ReadingTurn : IDisposable
{
    /// <summary>What takes longer is not to be waited for by the next request: several times what it costs to wake up another thread.</summary>
    private static readonly long s_slowTicks = Stopwatch.Frequency / 10_000;

    /// <summary>One that took long may have met another program on its processor; two are the device's doing.</summary>
    private const int SlowInARow = 2;

    /// <summary>A request that turned out to be stuck holds up the others for at most twice this long.</summary>
    private static readonly TimeSpan s_watchPeriod = TimeSpan.FromMilliseconds(5);

    /// <summary>Slow requests in a row during which nobody else came, before the next one keeps the turn: one that is kept wrongly holds somebody up.</summary>
    private const int AloneInARow = 8;

    private readonly Lock _changing = new();
    private readonly Stack<Reader> _parked = new();
    private readonly Func<bool> _startThread;
    private readonly Thread _watch;
    private readonly AutoResetEvent _watchIsWanted = new(initialState: false);
    private volatile Reader? _holder;
    private volatile bool _hasEnded;
    private int _slowInARow;
    private int _slowFlushesInARow;
    private int _aloneInARow;
    private volatile bool _isWatching;
    private long _requests;

    /// <param name="startThread">Starts one more thread, which will ask for the turn; false when there are enough.</param>
    public ReadingTurn(Func<bool> startThread)
    {
        _startThread = startThread;
        // No timer: its ticks run on the thread pool, whose threads spin after each, and with few processors those are the ones of caller and server.
        _watch = new Thread(Watch) { IsBackground = true, Name = "fuse watch" };
        _watch.Start();
    }

    /// <summary>Others would wait for what comes now: the last requests took long, and somebody came meanwhile. Flushes and others are counted apart,
    /// for writes to a cache come between slow flushes.</summary>
    public bool IsSlow(bool flushes) => Volatile.Read(ref CounterOf(flushes)) >= SlowInARow && Volatile.Read(ref _aloneInARow) < AloneInARow;

    /// <summary>Waits for the turn.</summary>
    /// <returns>False when there is nothing to read any more.</returns>
    public bool Take(Reader reader)
    {
        lock (_changing)
        {
            if (_hasEnded) return false;
            if (_holder is null)
            {
                _holder = reader;
                return true;
            }

            _parked.Push(reader);
        }

        reader.Woken.WaitOne();
        return !_hasEnded;
    }

    /// <summary>Whether the turn is still this thread's.</summary>
    public bool IsHeldBy(Reader reader) => _holder == reader;

    /// <summary>Passes the turn on to the thread that was parked last, or to a new one; with none it is whose who comes first.</summary>
    public void Pass(Reader reader)
    {
        lock (_changing)
        {
            if (_holder != reader || _hasEnded) return;
            _holder = null;
            if (_parked.TryPop(out Reader? next))
            {
                _holder = next;
                next.Woken.Set();
                return;
            }
        }

        _startThread();
    }

    /// <summary>A request is about to be answered.</summary>
    public void Begin(Reader reader)
    {
        reader.ServingSince = Stopwatch.GetTimestamp();
        Volatile.Write(ref _requests, _requests + 1);
        reader.RequestsBefore = _requests;
        if (_isWatching) return;
        _isWatching = true;
        _watchIsWanted.Set();
    }

    /// <summary>It was answered.</summary>
    /// <param name="reader">Who answered it.</param>
    /// <param name="wasFlush">It was a flush.</param>
    /// <param name="hasMore">Asks the kernel whether another request waits.</param>
    public void Finish(Reader reader, bool wasFlush, Func<bool> hasMore)
    {
        bool wasSlow = Stopwatch.GetTimestamp() - reader.ServingSince > s_slowTicks;
        ref int inARow = ref CounterOf(wasFlush);
        if (!wasSlow) Volatile.Write(ref inARow, 0);
        else
        {
            if (inARow < SlowInARow) Volatile.Write(ref inARow, inARow + 1);
            bool wasAlone = Volatile.Read(ref _requests) == reader.RequestsBefore && !hasMore();
            if (!wasAlone) Volatile.Write(ref _aloneInARow, 0);
            else if (_aloneInARow < AloneInARow) Volatile.Write(ref _aloneInARow, _aloneInARow + 1);
        }

        reader.ServingSince = 0;
    }

    /// <summary>There is nothing to read any more: every thread that waits goes on and ends.</summary>
    public void End()
    {
        lock (_changing)
        {
            _hasEnded = true;
            while (_parked.TryPop(out Reader? reader)) reader.Woken.Set();
        }

        _watchIsWanted.Set();
    }

    /// <summary>Once no thread takes turns any more.</summary>
    public void Dispose()
    {
        End();
        _watch.Join();
        _watchIsWanted.Dispose();
    }

    // A hint: what two threads count at once may be counted once.
    private ref int CounterOf(bool flushes) => ref flushes ? ref _slowFlushesInARow : ref _slowInARow;

    private void Watch()
    {
        while (!_hasEnded)
        {
            _watchIsWanted.WaitOne();
            do WatchForAPeriod();
            while (_isWatching && !_hasEnded);
        }
    }

    private void WatchForAPeriod()
    {
        long before = Volatile.Read(ref _requests);
        Thread.Sleep(s_watchPeriod);
        Reader? holder = _holder;
        long since = holder?.ServingSince ?? 0;
        if (since != 0)
        {
            if (Stopwatch.GetElapsedTime(since) >= s_watchPeriod) Pass(holder!);
        }
        else if (Volatile.Read(ref _requests) == before)
        {
            // Nothing came for a whole period: the next request wakes the watch again, also one that comes right now.
            _isWatching = false;
            if (Volatile.Read(ref _requests) != before) _isWatching = true;
        }
    }
}

/// <summary>A thread that takes turns.</summary>
internal sealed class Reader : IDisposable
{
    private long _servingSince;

    /// <summary>Set when it has the turn, or when all is over. An event that does not spin: the time is that of the program that is served.</summary>
    internal AutoResetEvent Woken { get; } = new(initialState: false);

    /// <summary>When the request that it answers came, in ticks of <see cref="Stopwatch"/>; 0 while it answers none.</summary>
    internal long ServingSince
    {
        get => Volatile.Read(ref _servingSince);
        set => Volatile.Write(ref _servingSince, value);
    }

    /// <summary>What its requests write begins when they were answered.</summary>
    internal SubmissionPlug Plug { get; } = new();

    /// <summary>Requests that had come when it began with its own.</summary>
    internal long RequestsBefore { get; set; }

    public void Dispose() => Woken.Dispose();
}
