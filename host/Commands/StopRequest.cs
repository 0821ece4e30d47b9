using System.Diagnostics;

namespace StoragePlugins.Host.Commands;

/// <summary>The wish, by signal, that serving ends.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class StopRequest : IDisposable
{
    /// <summary>
    /// Signals so close together are one wish: coreutils' <c>timeout</c> and some supervisors signal the process and then its whole group. Nobody
    /// who waits for a clean end loses patience within a second.
    /// </summary>
    private static readonly TimeSpan s_sameWish = TimeSpan.FromSeconds(1);

    private readonly ManualResetEventSlim _requested = new();
    private long _requestedAt;

    /// <summary>Takes a signal.</summary>
    /// <returns>False when it repeats an earlier wish: the process is to end at once.</returns>
    public bool IsTaken()
    {
        long first = Interlocked.CompareExchange(ref _requestedAt, Stopwatch.GetTimestamp(), 0);
        _requested.Set();
        return first == 0 || Stopwatch.GetElapsedTime(first) < s_sameWish;
    }

    /// <summary>Waits for the first signal.</summary>
    public void Wait() => _requested.Wait();

    /// <summary>Waits for the first signal or something else.</summary>
    public void WaitOr(WaitHandle other) => WaitHandle.WaitAny([_requested.WaitHandle, other]);

    public void Dispose() => _requested.Dispose();
}
