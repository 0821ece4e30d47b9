using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Commands;

/// <summary>Cancels a command's work at the first SIGTERM or Ctrl-C, so that it ends with what it has; the second one ends the process.</summary>
internal sealed class SignalCancellation : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _terminate;
    private readonly PosixSignalRegistration _interrupt;

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
        context.Cancel = !_source.IsCancellationRequested;
        _source.Cancel();
    });
}
