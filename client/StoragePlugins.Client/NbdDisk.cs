using System.Buffers.Binary;

namespace StoragePlugins.Client;

/// <summary>Sizes of requests that a server takes, in bytes.</summary>
/// <param name="Minimum">Offsets and lengths are multiples of it.</param>
/// <param name="Preferred">Requests of multiples of it are cheapest.</param>
/// <param name="MaximumPayload">The most that one read or write carries; larger ones are sent as several.</param>
public readonly record struct NbdBlockSizes(int Minimum, int Preferred, int MaximumPayload)
{
    /// <summary>What holds of a server that says nothing of it.</summary>
    public static NbdBlockSizes Default { get; } = new(1, 4096, NbdDisk.MaxPayloadBytes);
}

/// <summary>A disk that an NBD server exports: read, write, flush, and order without durability where the server has it.</summary>
/// <remarks>
/// <para><b>Barriers.</b> After <see cref="Barrier"/> returned, everything that had been written before it was called persists before anything that is
/// written from then on; nothing need be durable. Ask <see cref="SupportsBarriers"/> first: a server that cannot keep that promise never takes one.
/// Requests that are under way on other connections during the call fall on either side. The specification: docs/guest-barriers.md of StoragePlugins.</para>
/// <para><b>Threading.</b> Thread-safe, one request at a time: a second caller waits for the first. Who wants several under way opens several
/// connections, where <see cref="NbdFeatures.MultiConnection"/> says that a flush or barrier on one covers all.</para>
/// <para><b>Waits</b> end: a server that makes no progress for <see cref="NbdConnectOptions.Timeout"/> is given up, and the connection with it
/// (<see cref="NbdFailure.Disconnected"/>). Nothing is retried: whether a request that was under way has been done is not known then.</para>
/// <para>Nothing is allocated per request.</para>
/// </remarks>
public sealed class NbdDisk : IDisposable
{
    /// <summary>The largest payload that every server takes.</summary>
    public const int MaxPayloadBytes = 32 << 20;

    // A write up to here travels in one send with its header: copying it costs less than a second system call and wake-up of the server.
    private const int MaxJoinedBytes = 128 << 10;

    private readonly Lock _request = new();
    private readonly NbdStream _stream;
    private readonly NbdAgreement _agreed;
    private readonly int _maxRequestBytes;
    private readonly byte[] _message = new byte[NbdWire.RequestBytes + MaxJoinedBytes];
    private readonly byte[] _reply = new byte[NbdWire.SimpleReplyBytes];
    private ulong _cookie;
    private bool _isDisposed;

    private NbdDisk(NbdStream stream, NbdAgreement agreed, NbdUri uri, int maxRequestBytes)
    {
        (_stream, _agreed, Uri) = (stream, agreed, uri);
        int step = Math.Min(maxRequestBytes, agreed.BlockSizes.MaximumPayload);
        _maxRequestBytes = Math.Max(step / agreed.BlockSizes.Minimum * agreed.BlockSizes.Minimum, agreed.BlockSizes.Minimum);
    }

    /// <summary>Where it is.</summary>
    public NbdUri Uri { get; }

    /// <summary>Bytes.</summary>
    public long Size => _agreed.Size;

    /// <summary>What it can do.</summary>
    public NbdFeatures Features => _agreed.Features;

    /// <summary>Sizes of requests that the server takes.</summary>
    public NbdBlockSizes BlockSizes => _agreed.BlockSizes;

    /// <summary>Whether it can only be read.</summary>
    public bool IsReadOnly => (Features & NbdFeatures.ReadOnly) != 0;

    /// <summary>Whether <see cref="Barrier"/> can be called.</summary>
    public bool SupportsBarriers => (Features & NbdFeatures.Barriers) != 0;

    /// <summary>Why <see cref="SupportsBarriers"/> is false, in words; null when it is true.</summary>
    public string? WhyNoBarriers => _agreed.WhyNoBarriers;

    /// <summary>Connects to an export.</summary>
    /// <param name="uri"><c>nbd://HOST[:PORT]/[EXPORT]</c> or <c>nbd+unix:///[EXPORT]?socket=PATH</c>.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="FormatException">The URI is none.</exception>
    /// <exception cref="NbdException">There is no such server or export.</exception>
    public static NbdDisk Connect(string uri, NbdConnectOptions? options = null) => Connect(NbdUri.Parse(uri), options);

    /// <inheritdoc cref="Connect(string, NbdConnectOptions?)"/>
    public static NbdDisk Connect(NbdUri uri, NbdConnectOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(uri);
        options ??= new NbdConnectOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxRequestBytes, 1, nameof(options));
        NbdStream stream = NbdStream.Connect(uri, options.Timeout);
        try
        {
            return new NbdDisk(stream, new NbdHandshake(stream, uri.Export).Run(options.AskForBarriers), uri, options.MaxRequestBytes);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Fills the buffer.</summary>
    /// <exception cref="NbdException">The server failed it, or is gone.</exception>
    public void Read(long offset, Span<byte> buffer)
    {
        Check(offset, buffer.Length);
        lock (_request)
        {
            while (buffer.Length > 0)
            {
                int length = Math.Min(buffer.Length, _maxRequestBytes);
                Do(NbdCommand.Read, 0, offset, (uint)length, default);
                _stream.Receive(buffer[..length]);
                offset += length;
                buffer = buffer[length..];
            }
        }
    }

    /// <summary>Writes the data. Durable when it returns only with <paramref name="forceUnitAccess"/>.</summary>
    /// <exception cref="NbdException">The server failed it, or is gone; any part of it may have been written.</exception>
    /// <exception cref="NotSupportedException">The export is read-only, or cannot make single requests durable.</exception>
    public void Write(long offset, ReadOnlySpan<byte> data, bool forceUnitAccess = false)
    {
        Check(offset, data.Length);
        ushort flags = FlagsToChange(forceUnitAccess);
        lock (_request)
        {
            while (data.Length > 0)
            {
                int length = Math.Min(data.Length, _maxRequestBytes);
                Do(NbdCommand.Write, flags, offset, (uint)length, data[..length]);
                offset += length;
                data = data[length..];
            }
        }
    }

    /// <summary>Makes everything durable that was written, on any connection to the disk where it is <see cref="NbdFeatures.MultiConnection"/>.</summary>
    /// <exception cref="NbdException">The server failed it, or is gone: what had been written may be lost.</exception>
    /// <exception cref="NotSupportedException">The server cannot flush.</exception>
    public void Flush()
    {
        Require(NbdFeatures.Flush, "flushed");
        lock (_request) Do(NbdCommand.Flush, 0, 0, 0, default);
    }

    /// <summary>Orders without making durable: what was written before persists before what is written after it returned.</summary>
    /// <exception cref="NbdException">The server failed it, or is gone: order can no longer be relied on.</exception>
    /// <exception cref="NotSupportedException">The server does not take barriers for this export; nothing was sent. Use <see cref="Flush"/>.</exception>
    public void Barrier()
    {
        if (!SupportsBarriers) throw new NotSupportedException($"{Uri}: no guest barriers: {WhyNoBarriers}.");
        lock (_request) Do(NbdCommand.Barrier, 0, 0, 0, default);
    }

    /// <summary>Says that the content of a range no longer matters.</summary>
    /// <exception cref="NbdException">The server failed it, or is gone.</exception>
    /// <exception cref="NotSupportedException">The export cannot be trimmed.</exception>
    public void Trim(long offset, long length, bool forceUnitAccess = false)
    {
        Require(NbdFeatures.Trim, "trimmed");
        DoRange(NbdCommand.Trim, FlagsToChange(forceUnitAccess), offset, length);
    }

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mayUnmap">The space may be given back.</param>
    /// <param name="forceUnitAccess">Durable when it returns.</param>
    /// <exception cref="NbdException">The server failed it, or is gone.</exception>
    /// <exception cref="NotSupportedException">The export cannot be zeroed so.</exception>
    public void WriteZeroes(long offset, long length, bool mayUnmap = true, bool forceUnitAccess = false)
    {
        Require(NbdFeatures.WriteZeroes, "zeroed");
        DoRange(NbdCommand.WriteZeroes, (ushort)(FlagsToChange(forceUnitAccess) | (mayUnmap ? 0 : NbdWire.NoHole)), offset, length);
    }

    /// <summary>Says good-bye and closes the connection. What was not flushed is as durable as before.</summary>
    public void Dispose()
    {
        lock (_request)
        {
            if (_isDisposed) return;
            _isDisposed = true;
            try
            {
                if (_stream.IsAlive) _stream.Send(Header(NbdCommand.Disconnect, 0, 0, 0));
            }
            catch (NbdException)
            {
                // It is gone already.
            }

            _stream.Dispose();
        }
    }

    // A length has 32 bits, and steps keep the server's alignment.
    private void DoRange(NbdCommand command, ushort flags, long offset, long length)
    {
        const uint MaxStep = 1U << 30;
        Check(offset, length);
        lock (_request)
        {
            while (length > 0)
            {
                uint step = (uint)Math.Min(length, MaxStep);
                Do(command, flags, offset, step, default);
                offset += step;
                length -= step;
            }
        }
    }

    private void Do(NbdCommand command, ushort flags, long offset, uint length, ReadOnlySpan<byte> payload)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        _stream.ThrowIfFailed();
        Span<byte> header = Header(command, flags, offset, length);
        if (payload.Length <= MaxJoinedBytes)
        {
            payload.CopyTo(_message.AsSpan(NbdWire.RequestBytes));
            _stream.Send(_message.AsSpan(0, NbdWire.RequestBytes + payload.Length));
        }
        else
        {
            _stream.Send(header);
            _stream.Send(payload);
        }

        _stream.Receive(_reply);
        if (BinaryPrimitives.ReadUInt32BigEndian(_reply) != NbdWire.SimpleReplyMagic || BinaryPrimitives.ReadUInt64BigEndian(_reply.AsSpan(8)) != _cookie)
            throw _stream.Nonsense("its reply makes no sense");
        uint error = BinaryPrimitives.ReadUInt32BigEndian(_reply.AsSpan(4));
        if (error != 0)
            throw new NbdException(NbdFailure.RequestFailed, _stream.Server, $"a {NameOf(command)} of {length} bytes at {offset} failed with NBD error {error} ({NbdException.NameOf(error)})", (int)error);
    }

    private Span<byte> Header(NbdCommand command, ushort flags, long offset, uint length)
    {
        Span<byte> header = _message.AsSpan(0, NbdWire.RequestBytes);
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdWire.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(header[8..], ++_cookie);
        BinaryPrimitives.WriteInt64BigEndian(header[16..], offset);
        BinaryPrimitives.WriteUInt32BigEndian(header[24..], length);
        return header;
    }

    private static string NameOf(NbdCommand command) => command switch
    {
        NbdCommand.Read => "read",
        NbdCommand.Write => "write",
        NbdCommand.Flush => "flush",
        NbdCommand.Trim => "trim",
        NbdCommand.WriteZeroes => "write of zeros",
        NbdCommand.Barrier => "barrier",
        _ => "request",
    };

    private ushort FlagsToChange(bool forceUnitAccess)
    {
        if (IsReadOnly) throw new NotSupportedException($"{Uri}: the export is read-only.");
        if (!forceUnitAccess) return 0;
        Require(NbdFeatures.ForceUnitAccess, "written durably by one request");
        return NbdWire.ForceUnitAccess;
    }

    private void Require(NbdFeatures feature, string what)
    {
        if ((Features & feature) == 0) throw new NotSupportedException($"{Uri}: the export cannot be {what}.");
    }

    private void Check(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (offset > Size - length) throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length} bytes from there reach beyond the disk of {Size} bytes.");
    }
}
