using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// Serves disks to NBD clients over one socket. <see cref="Start"/> once, <see cref="Stop"/> once.
/// </summary>
/// <remarks>The disks belong to the caller; they are neither flushed nor closed here.</remarks>
internal sealed class NbdServer : IDisposable
{
    // A pause after a failed accept (no descriptors left): without it the loop would spin.
    private static readonly TimeSpan s_acceptRetryDelay = TimeSpan.FromMilliseconds(100);

    // Clients whose sockets were just shut down need this long at most to let their threads go.
    private static readonly TimeSpan s_abortGrace = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly HashSet<NbdConnection> _connections = [];
    private volatile IReadOnlyList<NbdExport> _exports = [];
    private readonly CancellationTokenSource _stopping = new();
    private Socket? _listener;
    private Task _accepting = Task.CompletedTask;
    private Timer? _watchdog;
    private long _accepted;
    private bool _isStopped;

    /// <summary>Prepares a server.</summary>
    /// <param name="exports">At least one. The empty name asks for the export of that name, otherwise for the first.</param>
    /// <param name="limits">Bounds for clients.</param>
    /// <param name="log">Connections that were rejected, failures.</param>
    /// <exception cref="DiagnosticException">SP4006: a name is used twice or too long.</exception>
    public NbdServer(IReadOnlyList<NbdExport> exports, NbdLimits limits, ILogger log)
    {
        ArgumentOutOfRangeException.ThrowIfZero(exports.Count);
        Limits = limits;
        Log = log;
        Buffers = new BufferPool(limits.MaxBufferBytes);
        Workers = new WorkerPool("nbd", limits.Workers);
        Add(exports);
    }

    /// <summary>What is served.</summary>
    public IReadOnlyList<NbdExport> Exports => _exports;

    /// <summary>Bounds for clients.</summary>
    public NbdLimits Limits { get; }

    /// <summary>Where it listens, with the port that the system chose; <see langword="null"/> before <see cref="Start"/>.</summary>
    public EndPoint? EndPoint => _listener?.LocalEndPoint;

    /// <summary>Connections now.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (_lock) return _connections.Count;
        }
    }

    internal ILogger Log { get; }

    internal BufferPool Buffers { get; }

    internal WorkerPool Workers { get; }

    /// <summary>Serves further exports, also while clients are connected. By one thread at a time.</summary>
    /// <exception cref="DiagnosticException">SP4006: a name is used twice or too long; none was added.</exception>
    public void Add(IReadOnlyList<NbdExport> exports)
    {
        var names = new HashSet<string>(_exports.Select(export => export.Name), StringComparer.Ordinal);
        foreach (NbdExport export in exports)
        {
            if (System.Text.Encoding.UTF8.GetByteCount(export.Name) > NbdProtocol.MaxStringBytes)
                throw new DiagnosticException("SP4006", "an export's name is too long", export.Name[..32] + "…", $"at most {NbdProtocol.MaxStringBytes} bytes", fix: "shorten it");
            if (!names.Add(export.Name))
                throw new DiagnosticException("SP4006", "two exports have the same name", export.Name, fix: "give each disk a name of its own");
        }

        _exports = [.. _exports, .. exports];
    }

    /// <summary>Listens and serves; returns when clients can connect.</summary>
    /// <param name="endPoint">A Unix socket, made with mode 0600, or an IP address.</param>
    /// <exception cref="DiagnosticException">SP4001 … SP4005: it cannot listen there.</exception>
    public void Start(EndPoint endPoint)
    {
        _listener = NbdListener.Listen(endPoint);
        TimeSpan period = Limits.HandshakeTimeout < Limits.StallTimeout ? Limits.HandshakeTimeout : Limits.StallTimeout;
        period = TimeSpan.FromMilliseconds(Math.Clamp(period.TotalMilliseconds / 4, 50, 1000));
        Workers.Start();
        _watchdog = new Timer(_ => Watch(), null, period, period);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Stops listening, lets requests that have been received finish and their replies leave, then closes all connections.</summary>
    /// <param name="timeout">Clients that are not done by then are cut off.</param>
    /// <returns>False when a request is still stuck in its disk after that.</returns>
    public bool Stop(TimeSpan timeout)
    {
        if (_isStopped) return true;
        _isStopped = true;
        long start = Stopwatch.GetTimestamp();
        _stopping.Cancel();
        _accepting.Wait();
        _listener?.Dispose();

        NbdConnection[] connections = Snapshot();
        foreach (NbdConnection connection in connections) connection.BeginDrain();
        bool ended = connections.All(connection => connection.Join(timeout - Stopwatch.GetElapsedTime(start)));
        if (!ended)
        {
            foreach (NbdConnection connection in connections) connection.Abort();
            start = Stopwatch.GetTimestamp();
            ended = connections.All(connection => connection.Join(s_abortGrace - Stopwatch.GetElapsedTime(start)));
        }

        _watchdog?.Dispose();
        ended &= Workers.Stop(s_abortGrace);
        if (ended) Buffers.Clear();
        return ended;
    }

    /// <summary>Cuts off whoever is still connected.</summary>
    public void Dispose()
    {
        Stop(TimeSpan.Zero);
        _stopping.Dispose();
    }

    internal NbdExport? FindExport(string name)
    {
        IReadOnlyList<NbdExport> exports = _exports;
        foreach (NbdExport export in exports) if (export.Name == name) return export;
        return name.Length == 0 ? exports[0] : null;
    }

    internal void Remove(NbdConnection connection)
    {
        lock (_lock) _connections.Remove(connection);
    }

    private NbdConnection[] Snapshot()
    {
        lock (_lock) return [.. _connections];
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                Admit(await _listener!.AcceptAsync(_stopping.Token).ConfigureAwait(false));
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException failure)
            {
                Log.LogWarning("nbd accept failed: {Reason}", failure.Message);
                await Task.Delay(s_acceptRetryDelay).ConfigureAwait(false);
            }
        }
    }

    private void Admit(Socket socket)
    {
        if (socket.AddressFamily != AddressFamily.Unix) socket.NoDelay = true;
        var connection = new NbdConnection(this, socket, ++_accepted);
        lock (_lock)
        {
            if (_connections.Count < Limits.MaxConnections && TryStart(connection))
            {
                _connections.Add(connection);
                return;
            }
        }

        socket.Dispose();
        connection.Reject($"no room for more than {ConnectionCount} connections");
    }

    private static bool TryStart(NbdConnection connection)
    {
        try
        {
            connection.Start();
            return true;
        }
        catch (OutOfMemoryException)
        {
            // The host has no thread left: as good as a full house.
            return false;
        }
    }

    private void Watch()
    {
        Buffers.TrimIfIdle();
        foreach (NbdConnection connection in Snapshot())
        {
            if (connection.HandshakeTime > Limits.HandshakeTimeout)
            {
                connection.Reject("the handshake takes too long");
                connection.Abort();
            }
            else if (connection.StallTime > Limits.StallTimeout && Buffers.IsStarvingOthers(connection.Account))
            {
                connection.Reject("it takes no replies, or sends no data, and others wait for its buffers");
                connection.Abort();
            }
        }
    }
}
