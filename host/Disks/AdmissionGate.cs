using System.Diagnostics;

namespace StoragePlugins.Host.Disks;

/// <summary>
/// Counts running requests, and bars the way: for a while, when those who come wait (<see cref="Hold"/>), or for good, when nobody enters any more
/// (<see cref="CloseAndWait"/>). Both wait for the last one inside.
/// </summary>
/// <remarks>One atomic addition to enter and one to leave; the sign bit says that the way is barred. <see cref="Hold"/>, <see cref="Release"/> and
/// <see cref="CloseAndWait"/> are called by one thread at a time.</remarks>
internal sealed class AdmissionGate
{
    private const int Barred = int.MinValue;

    // Barring is rare: a short spin and then polling spare every request the price of waking someone.
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(1);

    private readonly object _waiting = new();
    private int _state;
    private volatile bool _isClosed;

    /// <summary>Nobody enters any more.</summary>
    public bool IsClosed => _isClosed;

    /// <summary>Requests inside now.</summary>
    public int Inside => Volatile.Read(ref _state) & ~Barred;

    /// <summary>Enters; false, at once, while the way is barred.</summary>
    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _state) > 0) return true;
        Interlocked.Decrement(ref _state);
        return false;
    }

    /// <summary>Enters, after a wait where the gate is held; false when it is closed.</summary>
    public bool Enter()
    {
        while (!TryEnter())
        {
            lock (_waiting)
            {
                while (!_isClosed && Volatile.Read(ref _state) < 0) Monitor.Wait(_waiting);
                if (_isClosed) return false;
            }
        }

        return true;
    }

    /// <summary>Leaves after having entered.</summary>
    public void Leave() => Interlocked.Decrement(ref _state);

    /// <summary>Bars the way and waits for those inside; who comes waits for <see cref="Release"/>.</summary>
    /// <returns>False, and nothing is held, when some were still inside after <paramref name="timeout"/>.</returns>
    public bool Hold(TimeSpan timeout)
    {
        if (BarAndWait(timeout)) return true;
        Release();
        return false;
    }

    /// <summary>Ends a hold.</summary>
    public void Release()
    {
        lock (_waiting)
        {
            Interlocked.And(ref _state, ~Barred);
            Monitor.PulseAll(_waiting);
        }
    }

    /// <summary>Closes for good and waits for those inside.</summary>
    /// <returns>False when some were still inside after <paramref name="timeout"/>.</returns>
    public bool CloseAndWait(TimeSpan timeout)
    {
        lock (_waiting)
        {
            _isClosed = true;
            Monitor.PulseAll(_waiting);
        }

        return BarAndWait(timeout);
    }

    private bool BarAndWait(TimeSpan timeout)
    {
        Interlocked.Or(ref _state, Barred);
        long start = Stopwatch.GetTimestamp();
        var spinner = new SpinWait();
        while (Volatile.Read(ref _state) != Barred)
        {
            if (Stopwatch.GetElapsedTime(start) > timeout) return false;
            if (spinner.NextSpinWillYield) Thread.Sleep(s_pollInterval);
            else spinner.SpinOnce();
        }

        return true;
    }
}
