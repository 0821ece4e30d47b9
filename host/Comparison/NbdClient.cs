using System.Buffers.Binary;
using System.Net.Sockets;
using StoragePlugins.Host.Exports.Nbd;

namespace StoragePlugins.Host.Comparison;

/// <summary>
/// The least NBD client that can write and flush: one request at a time, simple replies. The same one drives our server and <c>qemu-nbd</c>, so that
/// neither has the better client, and none need be installed.
/// </summary>
/// <remarks>Not thread-safe. Nothing is allocated a request. Every wait ends after <see cref="Timeout"/>.</remarks>
internal sealed class NbdClient : IDisposable
{
    /// <summary>A server that has not answered by then never will: far above any flush of a device that works.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    // A reply in the options phase is text and numbers; more is not meant for us.
    private const int MaxOptionReplyBytes = 64 << 10;

    private readonly Socket _socket;
    private readonly string _server;
    private readonly byte[] _request;
    private readonly byte[] _reply = new byte[NbdProtocol.SimpleReplyBytes];
    private ulong _cookie;

    private NbdClient(Socket socket, string server, int maxPayload)
    {
        _socket = socket;
        _server = server;
        _request = new byte[NbdProtocol.RequestBytes + maxPayload];
    }

    /// <summary>Bytes of the export.</summary>
    public long Size { get; private set; }

    /// <summary>Connects to the default export.</summary>
    /// <param name="socketPath">Unix socket of the server.</param>
    /// <param name="server">What messages call it.</param>
    /// <param name="maxPayload">The largest write in bytes.</param>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="DiagnosticException">SP4106: it is no NBD server, or has no such export, or one that cannot be written and flushed.</exception>
    public static NbdClient Connect(string socketPath, string server, int maxPayload)
    {
        int timeout = (int)Timeout.TotalMilliseconds;
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = timeout, ReceiveTimeout = timeout };
        var client = new NbdClient(socket, server, maxPayload);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(socketPath));
            client.Negotiate();
            return client;
        }
        catch
        {
            client._socket.Dispose();
            throw;
        }
    }

    /// <summary>The buffer that <see cref="Write"/> sends from; to be filled once.</summary>
    public Span<byte> Payload => _request.AsSpan(NbdProtocol.RequestBytes);

    /// <summary>Writes the first bytes of <see cref="Payload"/>.</summary>
    /// <exception cref="DiagnosticException">SP4106: the server failed it, or is gone.</exception>
    public void Write(long offset, int length) => Do(NbdCommand.Write, offset, length, length);

    /// <summary>Makes what was written durable.</summary>
    /// <exception cref="DiagnosticException">SP4106: the server failed it, or is gone.</exception>
    public void Flush() => Do(NbdCommand.Flush, 0, 0, 0);

    /// <summary>Says good-bye, so that the server ends the session in its own time.</summary>
    public void Dispose()
    {
        try
        {
            FillRequest(NbdCommand.Disconnect, 0, 0);
            _socket.Send(_request.AsSpan(0, NbdProtocol.RequestBytes));
        }
        catch (SocketException)
        {
            // It is gone already.
        }

        _socket.Dispose();
    }

    private void Do(NbdCommand command, long offset, int length, int payload)
    {
        FillRequest(command, offset, length);
        Send(_request.AsSpan(0, NbdProtocol.RequestBytes + payload));
        Receive(_reply);
        if (BinaryPrimitives.ReadUInt32BigEndian(_reply) != NbdProtocol.SimpleReplyMagic || BinaryPrimitives.ReadUInt64BigEndian(_reply.AsSpan(8)) != _cookie)
            throw Failed("its reply makes no sense");
        uint error = BinaryPrimitives.ReadUInt32BigEndian(_reply.AsSpan(4));
        if (error != 0) throw Failed($"a {command.ToString().ToLowerInvariant()} of {length} bytes at {offset} failed with NBD error {error} ({(NbdError)error})");
    }

    private void FillRequest(NbdCommand command, long offset, int length)
    {
        Span<byte> header = _request;
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdProtocol.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(header[8..], ++_cookie);
        BinaryPrimitives.WriteInt64BigEndian(header[16..], offset);
        BinaryPrimitives.WriteInt32BigEndian(header[24..], length);
    }

    private void Negotiate()
    {
        byte[] greeting = new byte[18];
        Receive(greeting);
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16));
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NbdProtocol.ServerMagic || BinaryPrimitives.ReadUInt64BigEndian(greeting.AsSpan(8)) != NbdProtocol.OptionMagic
            || (flags & NbdProtocol.FixedNewstyle) == 0) throw Failed("it does not speak fixed newstyle NBD");

        // Our flags; then GO for the export of the empty name without further questions.
        const int GoBytes = sizeof(uint) + sizeof(ushort);
        byte[] go = new byte[sizeof(uint) + NbdProtocol.OptionHeaderBytes + GoBytes];
        BinaryPrimitives.WriteUInt32BigEndian(go, (uint)(flags & NbdProtocol.HandshakeFlags));
        BinaryPrimitives.WriteUInt64BigEndian(go.AsSpan(4), NbdProtocol.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(go.AsSpan(12), (uint)NbdOption.Go);
        BinaryPrimitives.WriteInt32BigEndian(go.AsSpan(16), GoBytes);
        Send(go);
        while (ReceiveOptionReply())
        {
        }
    }

    /// <summary>Takes one reply to GO.</summary>
    /// <returns>False when it was the last.</returns>
    private bool ReceiveOptionReply()
    {
        byte[] header = new byte[NbdProtocol.OptionReplyHeaderBytes];
        Receive(header);
        var type = (NbdOptionReply)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12));
        uint length = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(16));
        if (BinaryPrimitives.ReadUInt64BigEndian(header) != NbdProtocol.OptionReplyMagic || length > MaxOptionReplyBytes) throw Failed("its reply makes no sense");
        byte[] data = new byte[length];
        Receive(data);
        if (type == NbdOptionReply.Ack) return false;
        if (type != NbdOptionReply.Info) throw Failed($"it refuses its default export ({type})");
        if (data.Length < 12 || BinaryPrimitives.ReadUInt16BigEndian(data) != (ushort)NbdInfo.Export) return true;
        Size = BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(2));
        var flags = (NbdTransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(10));
        if ((flags & NbdTransmissionFlags.ReadOnly) != 0 || (flags & NbdTransmissionFlags.SendFlush) == 0) throw Failed("its export cannot be written and flushed");
        return true;
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            while (bytes.Length > 0) bytes = bytes[_socket.Send(bytes)..];
        }
        catch (SocketException failure)
        {
            throw Failed(failure.Message, failure);
        }
    }

    private void Receive(Span<byte> buffer)
    {
        try
        {
            while (buffer.Length > 0)
            {
                int received = _socket.Receive(buffer);
                if (received == 0) throw Failed("it closed the connection");
                buffer = buffer[received..];
            }
        }
        catch (SocketException failure)
        {
            throw Failed(failure.SocketErrorCode == SocketError.TimedOut ? $"it did not answer within {Timeout.TotalSeconds:0} s" : failure.Message, failure);
        }
    }

    private DiagnosticException Failed(string what, Exception? inner = null) => new("SP4106", $"the NBD server failed: {what}", _server, inner: inner);
}
