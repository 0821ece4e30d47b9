using System.Net.Sockets;

namespace StoragePlugins.Client;

/// <summary>A connected socket whose every wait ends.</summary>
/// <remarks>One thread at a time. After any failure it is closed and stays so: what would come next on the wire is not known.</remarks>
internal sealed class NbdStream : IDisposable
{
    private readonly Socket _socket;
    private readonly TimeSpan _timeout;
    private NbdException? _failure;

    private NbdStream(Socket socket, string server, TimeSpan timeout) => (_socket, Server, _timeout) = (socket, server, timeout);

    /// <summary>What messages call the server.</summary>
    public string Server { get; }

    public static NbdStream Connect(NbdUri uri, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(timeout.TotalMilliseconds, int.MaxValue);
        int milliseconds = (int)Math.Ceiling(timeout.TotalMilliseconds);
        Socket socket = uri.SocketPath is null ? new Socket(SocketType.Stream, ProtocolType.Tcp) : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            (socket.SendTimeout, socket.ReceiveTimeout) = (milliseconds, milliseconds);
            if (uri.SocketPath is null) socket.NoDelay = true;
            using var limit = new CancellationTokenSource(timeout);
            ValueTask connecting = uri.SocketPath is null
                ? socket.ConnectAsync(uri.Host!, uri.Port, limit.Token)
                : socket.ConnectAsync(new UnixDomainSocketEndPoint(uri.SocketPath), limit.Token);
            connecting.AsTask().GetAwaiter().GetResult();
            return new NbdStream(socket, uri.ToString(), timeout);
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException or ArgumentException)
        {
            socket.Dispose();
            string reason = failure is OperationCanceledException ? $"no answer within {timeout.TotalSeconds:0.###} s" : failure.Message.TrimEnd('.');
            throw new NbdException(NbdFailure.Unreachable, uri.ToString(), $"the server cannot be reached: {reason}", inner: failure);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        ThrowIfFailed();
        try
        {
            while (bytes.Length > 0) bytes = bytes[_socket.Send(bytes)..];
        }
        catch (SocketException failure)
        {
            throw Fail(NbdFailure.Disconnected, Reason(failure), failure);
        }
    }

    public void Receive(Span<byte> buffer)
    {
        ThrowIfFailed();
        try
        {
            while (buffer.Length > 0)
            {
                int received = _socket.Receive(buffer);
                if (received == 0) throw Fail(NbdFailure.Disconnected, "it closed the connection");
                buffer = buffer[received..];
            }
        }
        catch (SocketException failure)
        {
            throw Fail(NbdFailure.Disconnected, Reason(failure), failure);
        }
    }

    /// <summary>What came is not the protocol's.</summary>
    public NbdException Nonsense(string what) => Fail(NbdFailure.Protocol, what);

    public void ThrowIfFailed()
    {
        if (_failure is { } earlier) throw new NbdException(earlier.Failure, Server, $"the connection has failed before ({earlier.Reason}); connect again", inner: earlier);
    }

    /// <summary>Whether the connection can be used.</summary>
    public bool IsAlive => _failure is null;

    public void Dispose() => _socket.Dispose();

    private NbdException Fail(NbdFailure kind, string what, Exception? inner = null)
    {
        _failure = new NbdException(kind, Server, what, inner: inner);
        _socket.Dispose();
        return _failure;
    }

    private string Reason(SocketException failure) => failure.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock
        ? $"it did not answer within {_timeout.TotalSeconds:0.###} s"
        : failure.Message.TrimEnd('.');
}
