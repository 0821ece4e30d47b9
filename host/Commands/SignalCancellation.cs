using System.Diagnostics;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Commands;

/// <summary>Cancels a command's work at the first SIGTERM or Ctrl-C, so that it ends with what it has; one that comes later ends the process.</summary>
internal sealed class SignalCancellation : IDisposable
{
    /// <summary>What comes so soon is the same request: timeout(1), for one, signals a process and then its group.</summary>
    private static readonly TimeSpan s_sameRequest = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _terminate;
    private readonly PosixSignalRegistration _interrupt;
    private long _firstAt;

    /// <summary>Begins to listen.</summary>
    public SignalCancellation() => (_terminate, _interrupt) = (Listen(PosixSignal.SIGTERM), Listen(PosixSignal.SIGINT));

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _source.Dispose();
    }

    private PosixSignalRegistration Listen(PosixSignal signal) => PosixSignalRegistration.Create(signal, context =>
    {
        long now = Stopwatch.GetTimestamp();
        long first = Interlocked.CompareExchange(ref _firstAt, now, 0);
        context.Cancel = first == 0 || Stopwatch.GetElapsedTime(first, now) < s_sameRequest;
        if (first == 0) _source.Cancel();
    });
}
