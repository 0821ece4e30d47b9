using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>The least client of PostgreSQL's protocol 3.0 that can run statements and prepared statements with binary parameters, one at a time.</summary>
/// <remarks>Not thread-safe. Every wait ends after two minutes.</remarks>
internal sealed class PostgresConnection : IDisposable
{
    /// <summary>Far above any commit on a device that works, and a checkpoint on one that is slow.</summary>
    private static readonly TimeSpan s_timeout = TimeSpan.FromMinutes(2);

    private const int ProtocolVersion = 3 << 16;

    // Rows and notices that nobody reads; nothing that is asked for is longer.
    private const int MaxMessageBytes = 1 << 20;

    private readonly Socket _socket;
    private readonly MemoryStream _message = new();
    private byte[] _reply = new byte[4096];

    private PostgresConnection(Socket socket) => _socket = socket;

    /// <summary>Connects.</summary>
    /// <param name="endPoint">The server's socket.</param>
    /// <param name="user">Who; the server knows by the socket that it is true.</param>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="DiagnosticException">SP4202: the server refuses.</exception>
    public static PostgresConnection Connect(UnixDomainSocketEndPoint endPoint, string user)
    {
        int timeout = (int)s_timeout.TotalMilliseconds;
        var connection = new PostgresConnection(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = timeout, ReceiveTimeout = timeout });
        try
        {
            connection._socket.Connect(endPoint);
            connection.Begin(null);
            connection.Add(ProtocolVersion);
            foreach (string text in (string[])["user", user, "database", "postgres", ""]) connection.Add(text);
            connection.End(0);
            connection.SendAndWait();
            return connection;
        }
        catch
        {
            connection._socket.Dispose();
            throw;
        }
    }

    /// <summary>Runs a statement.</summary>
    public void Run(string sql)
    {
        int start = Begin('Q');
        Add(sql);
        End(start);
        SendAndWait();
    }

    /// <summary>Prepares a statement with parameters <c>$1</c> and so on.</summary>
    public void Prepare(string name, string sql)
    {
        int start = Begin('P');
        Add(name);
        Add(sql);
        Add((short)0);
        End(start);
        Sync();
    }

    /// <summary>Runs a prepared statement; what it changed is committed on return, outside of a transaction.</summary>
    /// <param name="name">Of <see cref="Prepare"/>.</param>
    /// <param name="parameters">In PostgreSQL's binary form.</param>
    public void Execute(string name, params ReadOnlySpan<byte[]> parameters)
    {
        int start = Begin('B');
        Add("");
        Add(name);
        Add((short)1);
        Add((short)1);
        Add((short)parameters.Length);
        foreach (byte[] parameter in parameters)
        {
            Add(parameter.Length);
            _message.Write(parameter);
        }

        Add((short)0);
        End(start);
        start = Begin('E');
        Add("");
        Add(0);
        End(start);
        Sync();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();
        _message.Dispose();
    }

    private void Sync()
    {
        End(Begin('S'));
        SendAndWait();
    }

    /// <returns>Where the length of the message goes.</returns>
    private int Begin(char? type)
    {
        if (type is { } known) _message.WriteByte((byte)known);
        int start = (int)_message.Position;
        Add(0);
        return start;
    }

    private void End(int start) => BinaryPrimitives.WriteInt32BigEndian(_message.GetBuffer().AsSpan(start), (int)_message.Position - start);

    private void Add(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        _message.Write(bytes);
    }

    private void Add(short value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(short)];
        BinaryPrimitives.WriteInt16BigEndian(bytes, value);
        _message.Write(bytes);
    }

    private void Add(string text)
    {
        _message.Write(Encoding.UTF8.GetBytes(text));
        _message.WriteByte(0);
    }

    // Until the server is ready for the next one. An error is told when it is, so that the connection stays usable.
    private void SendAndWait()
    {
        for (ReadOnlySpan<byte> left = _message.GetBuffer().AsSpan(0, (int)_message.Length); left.Length > 0;) left = left[_socket.Send(left)..];
        _message.SetLength(0);
        string? error = null;
        while (true)
        {
            Receive(5);
            char type = (char)_reply[0];
            int length = BinaryPrimitives.ReadInt32BigEndian(_reply.AsSpan(1)) - sizeof(int);
            if (length is < 0 or > MaxMessageBytes) throw Failed($"a reply of {length} bytes makes no sense");
            Receive(length);
            if (type == 'E') error = ErrorOf(_reply.AsSpan(0, length));
            // During the start an error is the last that is said.
            if (type == 'R' && BinaryPrimitives.ReadInt32BigEndian(_reply) != 0) throw Failed("it wants a password");
            if (type == 'E' && error!.StartsWith("FATAL", StringComparison.Ordinal)) throw Failed(error);
            if (type != 'Z') continue;
            if (error is not null) throw Failed(error);
            return;
        }
    }

    private void Receive(int length)
    {
        if (_reply.Length < length) _reply = new byte[length];
        for (int got = 0; got < length;)
        {
            int part = _socket.Receive(_reply.AsSpan(got, length - got));
            if (part == 0) throw Failed("it closed the connection");
            got += part;
        }
    }

    // Fields: a letter and a text each. S is the severity, M the message.
    private static string ErrorOf(ReadOnlySpan<byte> fields)
    {
        string[] parts = Encoding.UTF8.GetString(fields).Split('\0', StringSplitOptions.RemoveEmptyEntries);
        return $"{parts.FirstOrDefault(part => part[0] == 'S')?[1..]}: {parts.FirstOrDefault(part => part[0] == 'M')?[1..]}";
    }

    private static DiagnosticException Failed(string found) => new("SP4202", "the program failed", "PostgreSQL", found: found, fix: "leave it out with --workload");
}
