using System.Diagnostics;

namespace StoragePlugins.Host.Disks;

/// <summary>Counts running requests, and closes: then nobody enters any more and the last one out is waited for.</summary>
/// <remarks>One atomic addition to enter and one to leave; the sign bit says that the gate is closed.</remarks>
internal sealed class AdmissionGate
{
    private const int Closed = int.MinValue;

    // Closing is rare and its end is not urgent: polling spares every request the price of waking someone.
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(1);

    private int _state;

    /// <summary>Enters; false when the gate is closed.</summary>
    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _state) > 0) return true;
        Interlocked.Decrement(ref _state);
        return false;
    }

    /// <summary>Leaves after a successful <see cref="TryEnter"/>.</summary>
    public void Leave() => Interlocked.Decrement(ref _state);

    /// <summary>Closes for good and waits for those inside.</summary>
    /// <returns>False when some were still inside after <paramref name="timeout"/>.</returns>
    public bool CloseAndWait(TimeSpan timeout)
    {
        Interlocked.Or(ref _state, Closed);
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref _state) != Closed)
        {
            if (Stopwatch.GetElapsedTime(start) > timeout) return false;
            Thread.Sleep(s_pollInterval);
        }

        return true;
    }
}
