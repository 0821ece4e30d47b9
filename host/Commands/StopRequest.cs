using System.Diagnostics;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Commands;

/// <summary>The wish, by SIGTERM or Ctrl-C, that serving ends. It listens as long as it lives.</summary>
/// <remarks>Thread-safe. A second signal ends the process at once, as a crash would.</remarks>
internal sealed class StopRequest : IDisposable
{
    /// <summary>
    /// Signals so close together are one wish: coreutils' <c>timeout</c> and some supervisors signal the process and then its whole group. Nobody
    /// who waits for a clean end loses patience within a second.
    /// </summary>
    private static readonly TimeSpan s_sameWish = TimeSpan.FromSeconds(1);

    private readonly ManualResetEventSlim _requested = new();
    private readonly PosixSignalRegistration _terminate;
    private readonly PosixSignalRegistration _interrupt;
    private long _requestedAt;

    /// <summary>Begins to listen.</summary>
    public StopRequest()
    {
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => signal.Cancel = IsTaken());
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => signal.Cancel = IsTaken());
    }

    /// <summary>Waits for the first signal.</summary>
    public void Wait() => _requested.Wait();

    /// <summary>Waits for the first signal or something else.</summary>
    public void WaitOr(WaitHandle other) => WaitHandle.WaitAny([_requested.WaitHandle, other]);

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _requested.Dispose();
    }

    // False when it repeats an earlier wish: the process is to end at once.
    private bool IsTaken()
    {
        long first = Interlocked.CompareExchange(ref _requestedAt, Stopwatch.GetTimestamp(), 0);
        _requested.Set();
        return first == 0 || Stopwatch.GetElapsedTime(first) < s_sameWish;
    }
}
