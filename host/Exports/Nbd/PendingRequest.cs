using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// A request that its connection's thread did not answer at once: it waits for a worker, a flush, or the socket. Reused.
/// </summary>
/// <remarks>In one place at a time: filled by the connection's thread, then owned by a worker, the disk's flush gate, and at last the
/// connection's <see cref="NbdReplySender"/>, which releases it.</remarks>
internal sealed class PendingRequest : FlushTicket
{
    // CACHE reads ahead in such steps, and no further than a client could read at once.
    private const int CacheStepBytes = 256 * 1024;

    private readonly NbdTransmission _transmission;

    public PendingRequest(NbdTransmission transmission) => _transmission = transmission;

    /// <summary>Link of the list that it is in.</summary>
    public PendingRequest? NextInQueue { get; set; }

    /// <summary>What the client asked for.</summary>
    public NbdRequest Request { get; private set; }

    /// <summary>The payload, of the request or of the reply.</summary>
    public RequestBuffer? Buffer { get; private set; }

    /// <summary>Bytes of the reply's payload.</summary>
    public int ReplyLength { get; private set; }

    /// <summary>The outcome.</summary>
    public NbdError Error { get; private set; }

    /// <summary>When its arrival was noticed, in <see cref="System.Diagnostics.Stopwatch"/> ticks.</summary>
    public long ArrivedAt { get; private set; }

    /// <summary>Bytes that a worker needs in <see cref="Buffer"/> to execute a request; 0 for none.</summary>
    public static int BufferBytesFor(in NbdRequest request) => request.Command switch
    {
        NbdCommand.Read or NbdCommand.Write => (int)request.Length,
        NbdCommand.Cache => CacheStepBytes,
        NbdCommand.BlockStatus => NbdBlockStatus.MaxReplyBytes,
        _ => 0,
    };

    /// <summary>Begins a request.</summary>
    public void Begin(in NbdRequest request, RequestBuffer? buffer, long arrivedAt)
    {
        Request = request;
        Buffer = buffer;
        ArrivedAt = arrivedAt;
        ReplyLength = 0;
        Error = NbdError.None;
    }

    /// <summary>Forgets the buffer, which the caller now owns.</summary>
    public RequestBuffer? TakeBuffer()
    {
        RequestBuffer? buffer = Buffer;
        Buffer = null;
        return buffer;
    }

    /// <summary>Does what is asked, on a worker; may block. Answers, or leaves that to the flush gate.</summary>
    public void Execute()
    {
        try
        {
            NbdError error = ExecuteOn(_transmission.Disk);
            bool changes = Request.Command is NbdCommand.Write or NbdCommand.Trim or NbdCommand.WriteZeroes;
            if (error == NbdError.None && changes && Request.IsForced) _transmission.Disk.SubmitFlush(this);
            else Complete(error);
        }
        catch (Exception failure)
        {
            // Also what a plugin should not throw: its request fails, the server goes on.
            Complete(_transmission.ErrorOf(failure));
        }
    }

    /// <inheritdoc/>
    public override void Flushed(StorageException? failure)
    {
        if (failure is null) _transmission.Disk.CountFlush();
        Complete(failure is null ? NbdError.None : _transmission.ErrorOf(failure));
    }

    private NbdError ExecuteOn(ServedDisk disk)
    {
        NbdRequest request = Request;
        switch (request.Command)
        {
            case NbdCommand.Read:
                disk.Read(request.Offset, Buffer!.Span((int)request.Length));
                ReplyLength = (int)request.Length;
                return NbdError.None;
            case NbdCommand.Write:
                disk.Write(request.Offset, Buffer!.Span((int)request.Length));
                return NbdError.None;
            case NbdCommand.Trim:
                disk.Discard(request.Offset, request.Length);
                return NbdError.None;
            case NbdCommand.WriteZeroes:
                return WriteZeroes(disk, request);
            case NbdCommand.Barrier:
                disk.Barrier();
                return NbdError.None;
            case NbdCommand.Cache:
                ReadAhead(disk, request);
                return NbdError.None;
            case NbdCommand.BlockStatus:
                ReplyLength = NbdBlockStatus.Write(disk, request, _transmission.Contexts, Buffer!.Span(NbdBlockStatus.MaxReplyBytes));
                return NbdError.None;
            default:
                return NbdError.Invalid;
        }
    }

    private static NbdError WriteZeroes(ServedDisk disk, in NbdRequest request)
    {
        bool mustBeFast = (request.Flags & NbdCommandFlags.FastZero) != 0;
        if (mustBeFast && !disk.IsZeroingFast(request.Offset, request.Length)) return NbdError.NotSupported;
        disk.WriteZeroes(request.Offset, request.Length, mayUnmap: (request.Flags & NbdCommandFlags.NoHole) == 0);
        return NbdError.None;
    }

    private void ReadAhead(ServedDisk disk, in NbdRequest request)
    {
        long end = request.Offset + Math.Min(request.Length, NbdProtocol.MaxPayloadBytes);
        for (long offset = request.Offset; offset < end; offset += CacheStepBytes)
            disk.Read(offset, Buffer!.Span((int)Math.Min(CacheStepBytes, end - offset)));
    }

    private void Complete(NbdError error)
    {
        Error = error;
        if (error != NbdError.None) ReplyLength = 0;
        _transmission.Complete(this);
    }
}

/// <summary>A first-in first-out list of requests without memory of its own. Not thread-safe.</summary>
internal struct PendingQueue
{
    private PendingRequest? _head;
    private PendingRequest? _tail;

    public readonly bool IsEmpty => _head is null;

    public readonly PendingRequest? Head => _head;

    public void Enqueue(PendingRequest request)
    {
        request.NextInQueue = null;
        if (_tail is null) _head = request;
        else _tail.NextInQueue = request;
        _tail = request;
    }

    public PendingRequest? Dequeue()
    {
        PendingRequest? request = _head;
        if (request is null) return null;
        _head = request.NextInQueue;
        if (_head is null) _tail = null;
        request.NextInQueue = null;
        return request;
    }
}
