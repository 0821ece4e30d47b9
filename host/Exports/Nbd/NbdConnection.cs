using System.Diagnostics;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>One client's connection and its thread, from accept to close.</summary>
internal sealed class NbdConnection
{
    private readonly Lock _lifeLock = new();
    private readonly NbdServer _server;
    private readonly Socket _socket;
    private readonly Thread _thread;
    private readonly long _acceptedAt = Stopwatch.GetTimestamp();
    private NbdTransmission? _transmission;
    private bool _isClosed;

    /// <param name="server">Its server.</param>
    /// <param name="socket">Connected, blocking; owned from now on.</param>
    /// <param name="number">For messages.</param>
    public NbdConnection(NbdServer server, Socket socket, long number)
    {
        _server = server;
        _socket = socket;
        Name = $"connection {number}";
        Descriptor = (int)socket.Handle;
        _thread = new Thread(Run) { IsBackground = true, Name = $"nbd {Name}" };
    }

    /// <summary>For messages.</summary>
    public string Name { get; }

    /// <summary>The socket's file descriptor; valid while the connection's thread runs.</summary>
    public int Descriptor { get; }

    /// <summary>What it holds of the server's buffers.</summary>
    public BufferAccount Account { get; } = new();

    /// <summary>How long the handshake has been going on; zero when it is over.</summary>
    public TimeSpan HandshakeTime => Volatile.Read(ref _transmission) is null ? Stopwatch.GetElapsedTime(_acceptedAt) : TimeSpan.Zero;

    /// <summary>How long the client has kept a begun request or a reply waiting.</summary>
    public TimeSpan StallTime
    {
        get
        {
            lock (_lifeLock)
            {
                long since = _isClosed ? 0 : _transmission?.WaitingForClientSince ?? 0;
                return since == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(since);
            }
        }
    }

    /// <summary>Starts the thread.</summary>
    public void Start() => _thread.Start();

    /// <summary>Waits for the end of the thread.</summary>
    public bool Join(TimeSpan timeout) => _thread.Join(timeout > TimeSpan.Zero ? timeout : TimeSpan.Zero);

    /// <summary>No further requests: those received are finished and answered, then the connection is closed.</summary>
    public void BeginDrain() => ShutDown(SocketShutdown.Receive);

    /// <summary>Ends the connection now; requests in flight finish, their replies are dropped.</summary>
    public void Abort()
    {
        ShutDown(SocketShutdown.Both);
        _server.Buffers.Close(Account);
    }

    /// <summary>Says why this client is not served any further.</summary>
    /// <returns>False, for the caller to return.</returns>
    public bool Reject(string reason)
    {
        _server.Log.LogWarning("nbd {Connection} closed: {Reason}", Name, reason);
        return false;
    }

    private void Run()
    {
        try
        {
            using var receive = new ReceiveBuffer(Descriptor, NbdTransmission.ReceiveBytes);
            if (new NbdHandshake(this, _server, receive).Run() is { } agreed) Serve(agreed, receive);
        }
        catch (Exception unexpected)
        {
            _server.Log.LogError(unexpected, "nbd {Connection} closed: unexpected failure", Name);
        }
        finally
        {
            lock (_lifeLock)
            {
                _isClosed = true;
                _socket.Dispose();
            }

            _server.Remove(this);
        }
    }

    private void Serve(NbdAgreement agreed, ReceiveBuffer receive)
    {
        _server.Log.LogDebug("nbd {Connection} uses export '{Export}'", Name, agreed.Export.Name);
        using var transmission = new NbdTransmission(this, _server, receive, agreed);
        Volatile.Write(ref _transmission, transmission);
        transmission.Run();
    }

    private void ShutDown(SocketShutdown how)
    {
        lock (_lifeLock)
        {
            if (_isClosed) return;
            try
            {
                _socket.Shutdown(how);
            }
            catch (SocketException)
            {
                // The client was faster.
            }
        }
    }
}
