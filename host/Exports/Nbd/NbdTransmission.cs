using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// The transmission phase of one connection. Its thread receives as much as there is, answers at once what the disk can do without
/// waiting, gathers those replies, and sends them when nothing more is buffered. The rest goes to workers and to the disk's flush gate.
/// </summary>
/// <remarks>Replies may overtake each other. Nothing is allocated per request.</remarks>
internal sealed unsafe class NbdTransmission : IDisposable
{
    // Up to here payloads go through the connection's own buffers as a whole, beyond in such pieces: small enough for the CPU's cache.
    private const int MaxInlineBytes = 128 * 1024;

    // Twice the largest inline request, so that batches of small ones fit and MakeRoom seldom moves anything.
    private const int BatchBytes = 2 * MaxInlineBytes;

    /// <summary>Bytes of a connection's receive buffer; also enough for any option of the handshake.</summary>
    public const int ReceiveBytes = 2 * MaxInlineBytes;

    private readonly NbdConnection _connection;
    private readonly NbdServer _server;
    private readonly ReceiveBuffer _receive;
    private readonly NbdReplySender _sender;
    private readonly RequestSlots _slots;
    private readonly WorkerLane _lane = new();
    private readonly byte* _batch = (byte*)NativeMemory.Alloc(BatchBytes);
    private int _batched;
    private bool _hasLoggedFailure;

    /// <param name="connection">The connection.</param>
    /// <param name="server">Its server.</param>
    /// <param name="receive">May hold requests already.</param>
    /// <param name="agreed">What the handshake led to.</param>
    public NbdTransmission(NbdConnection connection, NbdServer server, ReceiveBuffer receive, NbdAgreement agreed)
    {
        _connection = connection;
        _server = server;
        _receive = receive;
        Disk = agreed.Export.Disk;
        IsStructured = agreed.IsStructured;
        Contexts = agreed.Contexts;
        HasBarriers = agreed.HasBarriers;
        _sender = new NbdReplySender(connection.Descriptor, this);
        _slots = new RequestSlots(this, server.Limits.MaxRequestsPerConnection);
        Disk.CountConnection(1);
    }

    /// <summary>The disk of the chosen export.</summary>
    public ServedDisk Disk { get; }

    /// <summary>Whether structured replies were negotiated.</summary>
    public bool IsStructured { get; }

    /// <summary>The negotiated metadata contexts.</summary>
    public NbdMetaContexts Contexts { get; }

    /// <summary>Whether the client may send barriers.</summary>
    public bool HasBarriers { get; }

    /// <summary>Since when the client has been keeping a request or a reply waiting, in <see cref="Stopwatch"/> ticks; 0 when it is not.</summary>
    public long WaitingForClientSince
    {
        get
        {
            long receiving = _receive.WaitingSince;
            long sending = _sender.WaitingSince;
            return receiving == 0 || sending == 0 ? Math.Max(receiving, sending) : Math.Min(receiving, sending);
        }
    }

    /// <summary>Serves requests until the client leaves; then waits for those in flight and sends their replies.</summary>
    public void Run()
    {
        try
        {
            bool goesOn = true;
            while (goesOn)
            {
                while (goesOn && _receive.Available >= NbdProtocol.RequestBytes) goesOn = ServeNext();
                goesOn = goesOn && SendBatch() && _receive.Fill();
            }
        }
        finally
        {
            // Workers use this object's memory until then, whatever happened here.
            _slots.WaitUntilAllReturned();
            SendBatch();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Disk.CountConnection(-1);
        _sender.Dispose();
        NativeMemory.Free(_batch);
    }

    /// <summary>A request in flight is finished. Any thread but the connection's, or that one.</summary>
    public void Complete(PendingRequest request)
    {
        RecordLatency(request.Request.Command, request.ArrivedAt);
        _sender.Enqueue(request);
    }

    /// <summary>A finished request's reply has left, or never will.</summary>
    public void Release(PendingRequest request)
    {
        if (request.TakeBuffer() is { } buffer) _server.Buffers.Return(_connection.Account, buffer);
        _slots.Return(request);
    }

    /// <summary>What a client is told of a failure; the operator is told more, once a connection and then at debug level.</summary>
    public NbdError ErrorOf(Exception failure)
    {
        LogLevel level = _hasLoggedFailure ? LogLevel.Debug : LogLevel.Warning;
        _hasLoggedFailure = true;
        _server.Log.Log(level, "nbd {Connection}: {Failure}", _connection.Name, failure is StorageException ? failure.Message : failure.ToString());

        // ENOTSUP is reserved for FAST_ZERO.
        if (failure is not StorageException storage) return NbdError.Io;
        return storage.Error == StorageError.NotSupported ? NbdError.Invalid : (NbdError)storage.Error;
    }

    private bool ServeNext()
    {
        ReadOnlySpan<byte> bytes = _receive.Peek(NbdProtocol.RequestBytes);
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        if (magic != NbdProtocol.RequestMagic) return _connection.Reject($"request with magic 0x{magic:x8}");

        var request = new NbdRequest(
            (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            (NbdCommandFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[24..]));
        long arrivedAt = Stopwatch.GetTimestamp();
        NbdError error = Validate(request);

        switch (request.Command)
        {
            case NbdCommand.Disconnect:
                return false;
            case NbdCommand.Write:
                return ServeWrite(request, error, arrivedAt);
            default:
                _receive.Consume(NbdProtocol.RequestBytes);
                if (error != NbdError.None) Answer(request, error, arrivedAt);
                else if (request.Command == NbdCommand.Read) return ServeRead(request, arrivedAt);
                else if (request.Command == NbdCommand.Flush) Disk.SubmitFlush(Begin(request, null, arrivedAt));
                else if (request.Length == 0 && request.Command != NbdCommand.Barrier) Answer(request, NbdError.None, arrivedAt);
                else return HandOver(request, arrivedAt);
                return true;
        }
    }

    private NbdError Validate(in NbdRequest request)
    {
        if ((request.Flags & ~AllowedFlags(request.Command)) != 0) return NbdError.Invalid;
        switch (request.Command)
        {
            case NbdCommand.Read:
                if (request.Length > NbdProtocol.MaxPayloadBytes)
                    return (request.Flags & NbdCommandFlags.Df) != 0 ? NbdError.Overflow : NbdError.Invalid;
                break;
            case NbdCommand.Write or NbdCommand.WriteZeroes:
                if (Disk.IsReadOnly) return NbdError.NotPermitted;
                return Disk.Contains(request.Offset, request.Length) ? NbdError.None : NbdError.NoSpace;
            case NbdCommand.Trim:
                if (Disk.IsReadOnly) return NbdError.NotPermitted;
                break;
            case NbdCommand.Flush:
                return request is { Offset: 0, Length: 0 } ? NbdError.None : NbdError.Invalid;
            case NbdCommand.Barrier:
                // Who did not ask for it sent a command that does not exist. No flag has a meaning; FUA would be taken for a flush.
                return HasBarriers && request is { Offset: 0, Length: 0, Flags: NbdCommandFlags.None } ? NbdError.None : NbdError.Invalid;
            case NbdCommand.BlockStatus:
                if (Contexts == NbdMetaContexts.None || request.Length == 0) return NbdError.Invalid;
                break;
            case NbdCommand.Cache or NbdCommand.Disconnect:
                break;
            default:
                return NbdError.Invalid;
        }

        return Disk.Contains(request.Offset, request.Length) ? NbdError.None : NbdError.Invalid;
    }

    // FUA is legal everywhere, also where it means nothing.
    private NbdCommandFlags AllowedFlags(NbdCommand command) => NbdCommandFlags.Fua | command switch
    {
        NbdCommand.Read => IsStructured ? NbdCommandFlags.Df : NbdCommandFlags.None,
        NbdCommand.WriteZeroes => NbdCommandFlags.NoHole | NbdCommandFlags.FastZero,
        NbdCommand.BlockStatus => NbdCommandFlags.ReqOne,
        _ => NbdCommandFlags.None,
    };

    private bool ServeRead(in NbdRequest request, long arrivedAt)
    {
        NbdRequest rest = request;
        if (IsStructured && Disk.IsNonBlocking && (request.Flags & NbdCommandFlags.Df) == 0)
        {
            while (rest.Length > MaxInlineBytes && TryAnswerFirstPiece(rest))
                rest = rest with { Offset = rest.Offset + MaxInlineBytes, Length = rest.Length - MaxInlineBytes };
        }

        bool hasFirstPieces = rest.Offset != request.Offset;
        return rest.Length > MaxInlineBytes || !Disk.IsNonBlocking
            ? HandOverRest(rest, hasFirstPieces, arrivedAt)
            : ServeSmallRead(rest, hasFirstPieces, arrivedAt);
    }

    // The worker may answer before this thread's next send: chunks that belong before its last one must have left by then.
    private bool HandOverRest(in NbdRequest rest, bool hasFirstPieces, long arrivedAt)
    {
        if (hasFirstPieces) SendBatch();
        return HandOver(rest, arrivedAt);
    }

    // A large read leaves in several chunks while the bytes are still in the CPU's cache. Only the last chunk says that it is the last;
    // whoever executes the rest of the request sends it.
    private bool TryAnswerFirstPiece(in NbdRequest request)
    {
        if (BatchBytes - _batched < NbdProtocol.DataChunkHeaderBytes + MaxInlineBytes) SendBatch();
        byte* reply = _batch + _batched;
        try
        {
            if (!Disk.TryRead(request.Offset, new Span<byte>(reply + NbdProtocol.DataChunkHeaderBytes, MaxInlineBytes))) return false;
        }
        catch (Exception)
        {
            // Whatever it was: the worker meets it again, and reports it.
            return false;
        }

        NbdReply.WriteDataChunkHeader(new Span<byte>(reply, NbdProtocol.DataChunkHeaderBytes), request.Cookie, request.Offset, MaxInlineBytes, done: false);
        _batched += NbdProtocol.DataChunkHeaderBytes + MaxInlineBytes;
        return true;
    }

    private bool ServeSmallRead(in NbdRequest request, bool hasFirstPieces, long arrivedAt)
    {
        int length = (int)request.Length;
        if (BatchBytes - _batched < NbdReply.MaxHeaderBytes + length) SendBatch();
        byte* reply = _batch + _batched;
        int header = NbdReply.WriteHeader(new Span<byte>(reply, NbdReply.MaxHeaderBytes), request, IsStructured, NbdError.None, length);
        try
        {
            if (length > 0 && !Disk.TryRead(request.Offset, new Span<byte>(reply + header, length))) return HandOverRest(request, hasFirstPieces, arrivedAt);
        }
        catch (Exception failure)
        {
            Answer(request, ErrorOf(failure), arrivedAt);
            return true;
        }

        _batched += header + length;
        RecordLatency(NbdCommand.Read, arrivedAt);
        return true;
    }

    private bool ServeWrite(in NbdRequest request, NbdError error, long arrivedAt)
    {
        // Nothing says that the rest of such a stream is made of requests.
        if (request.Length > NbdProtocol.MaxPayloadBytes) return _connection.Reject($"write of {request.Length} bytes");

        int length = (int)request.Length;
        if (error == NbdError.None && length > MaxInlineBytes) return ServeLargeWrite(request, arrivedAt);
        if (_receive.Available < NbdProtocol.RequestBytes + length) SendBatch();
        if (error != NbdError.None)
        {
            _receive.Consume(NbdProtocol.RequestBytes);
            if (!_receive.Skip(length)) return false;
            Answer(request, error, arrivedAt);
            return true;
        }

        if (!_receive.FillTo(NbdProtocol.RequestBytes + length)) return false;
        _receive.Consume(NbdProtocol.RequestBytes);
        bool goesOn = WriteBuffered(request, _receive.Start, arrivedAt);
        _receive.Consume(length);
        return goesOn;
    }

    private bool WriteBuffered(in NbdRequest request, byte* payload, long arrivedAt)
    {
        var data = new ReadOnlySpan<byte>(payload, (int)request.Length);
        bool written;
        try
        {
            written = data.IsEmpty || Disk.TryWrite(request.Offset, data);
        }
        catch (Exception failure)
        {
            Answer(request, ErrorOf(failure), arrivedAt);
            return true;
        }

        if (!written)
        {
            if (RentAfterSending(data.Length) is not { } buffer) return false;
            data.CopyTo(buffer.Span(data.Length));
            _server.Workers.Enqueue(_lane, Begin(request, buffer, arrivedAt));
        }
        else if (request.IsForced)
        {
            Disk.SubmitFlush(Begin(request, null, arrivedAt));
        }
        else
        {
            Answer(request, NbdError.None, arrivedAt);
        }

        return true;
    }

    // A large write is taken in pieces as they arrive, while they are in the CPU's cache. What the disk declines goes to a worker as a whole.
    private bool ServeLargeWrite(in NbdRequest request, long arrivedAt)
    {
        SendBatch();
        _receive.Consume(NbdProtocol.RequestBytes);
        NbdRequest rest = request;
        while (Disk.IsNonBlocking && rest.Length > 0)
        {
            int piece = (int)Math.Min(rest.Length, MaxInlineBytes);
            if (!_receive.FillTo(piece)) return false;
            if (piece == rest.Length)
            {
                bool goesOn = WriteBuffered(rest, _receive.Start, arrivedAt);
                _receive.Consume(piece);
                return goesOn;
            }

            try
            {
                if (!Disk.TryWrite(rest.Offset, _receive.Peek(piece))) break;
            }
            catch (Exception failure)
            {
                NbdError error = ErrorOf(failure);
                if (!_receive.Skip((int)rest.Length)) return false;
                Answer(request, error, arrivedAt);
                return true;
            }

            _receive.Consume(piece);
            rest = rest with { Offset = rest.Offset + piece, Length = rest.Length - (uint)piece };
        }

        return ReceiveAndHandOver(rest, arrivedAt);
    }

    private bool ReceiveAndHandOver(in NbdRequest request, long arrivedAt)
    {
        int length = (int)request.Length;
        if (_server.Buffers.Rent(_connection.Account, length) is not { } buffer) return false;
        if (!_receive.ReceiveInto(buffer.Payload, length))
        {
            _server.Buffers.Return(_connection.Account, buffer);
            return false;
        }

        _server.Workers.Enqueue(_lane, Begin(request, buffer, arrivedAt));
        return true;
    }

    // For requests that came without a payload.
    private bool HandOver(in NbdRequest request, long arrivedAt)
    {
        RequestBuffer? buffer = null;
        int needed = PendingRequest.BufferBytesFor(request);
        if (needed > 0)
        {
            buffer = RentAfterSending(needed);
            if (buffer is null) return false;
        }

        _server.Workers.Enqueue(_lane, Begin(request, buffer, arrivedAt));
        return true;
    }

    // Replies that are ready must not wait for a buffer or a slot.
    private RequestBuffer? RentAfterSending(int length)
    {
        RequestBuffer? buffer = _server.Buffers.TryRent(_connection.Account, length);
        if (buffer is not null) return buffer;
        SendBatch();
        return _server.Buffers.Rent(_connection.Account, length);
    }

    private PendingRequest Begin(in NbdRequest request, RequestBuffer? buffer, long arrivedAt)
    {
        PendingRequest? pending = _slots.TryTake();
        if (pending is null)
        {
            SendBatch();
            pending = _slots.Take();
        }

        pending.Begin(request, buffer, arrivedAt);
        return pending;
    }

    private void Answer(in NbdRequest request, NbdError error, long arrivedAt)
    {
        if (BatchBytes - _batched < NbdReply.MaxHeaderBytes) SendBatch();
        _batched += NbdReply.WriteHeader(new Span<byte>(_batch + _batched, NbdReply.MaxHeaderBytes), request, IsStructured, error, 0);
        RecordLatency(request.Command, arrivedAt);
    }

    private void RecordLatency(NbdCommand command, long arrivedAt) => Disk.Latency.Record(KindOf(command), Stopwatch.GetTimestamp() - arrivedAt);

    private static RequestKind KindOf(NbdCommand command) => command switch
    {
        NbdCommand.Read => RequestKind.Read,
        NbdCommand.Write => RequestKind.Write,
        NbdCommand.Flush => RequestKind.Flush,
        NbdCommand.Trim => RequestKind.Discard,
        NbdCommand.WriteZeroes => RequestKind.Zero,
        NbdCommand.Barrier => RequestKind.Barrier,
        _ => RequestKind.Other,
    };

    private bool SendBatch()
    {
        int length = _batched;
        _batched = 0;
        return _sender.Send(_batch, length);
    }
}
