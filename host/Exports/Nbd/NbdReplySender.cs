using System.Diagnostics;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// The sending side of a connection: whoever finds it free sends for all. Nobody but the connection's own threads ever waits for the client.
/// </summary>
/// <remarks>
/// <para>Workers and the flush thread queue a finished request and try to send it without waiting. When the client does not keep up, a
/// thread of this connection, started then, goes on with waiting sends.</para>
/// <para>Small replies are gathered into one send; large ones leave from their own buffer, the header right before the payload.</para>
/// </remarks>
internal sealed unsafe class NbdReplySender : IDisposable
{
    // Gathers what finishes together. Larger payloads cost less to send by themselves than to copy.
    private const int StagingBytes = 64 * 1024;
    private const int MaxStagedPayload = 16 * 1024;

    private readonly int _fd;
    private readonly NbdTransmission _transmission;
    private readonly object _sendLock = new();
    private readonly Lock _queueLock = new();
    private readonly SemaphoreSlim _backlog = new(0, 1);
    private readonly byte* _staging = (byte*)NativeMemory.Alloc(StagingBytes);

    // Guarded by _queueLock.
    private PendingQueue _queue;

    // Guarded by _sendLock: what is on its way.
    private int _stagedFrom, _stagedTo;
    private PendingRequest? _large;
    private byte* _largeFrom;
    private int _largeLeft;
    private Thread? _backlogThread;

    private volatile bool _isBacklogged;
    private volatile bool _isBroken;
    private volatile bool _isEnding;
    private long _waitingSince;

    /// <param name="fd">The socket, which outlives this object.</param>
    /// <param name="transmission">Releases requests whose replies have left.</param>
    public NbdReplySender(int fd, NbdTransmission transmission)
    {
        _fd = fd;
        _transmission = transmission;
    }

    /// <summary>The client is gone: replies are dropped.</summary>
    public bool IsBroken => _isBroken;

    /// <summary>Since when a send has been waiting for the client, in <see cref="Stopwatch"/> ticks; 0 when none is.</summary>
    public long WaitingSince => Volatile.Read(ref _waitingSince);

    /// <summary>Takes a finished request and sends it if that is possible without waiting. Any thread.</summary>
    public void Enqueue(PendingRequest request)
    {
        lock (_queueLock) _queue.Enqueue(request);
        Pump();
    }

    /// <summary>Sends everything queued and then these bytes; waits for the client. The connection's thread only.</summary>
    /// <returns>False when the client is gone.</returns>
    public bool Send(byte* bytes, int length)
    {
        lock (_sendLock)
        {
            Drain(wait: true);
            while (length > 0 && !_isBroken)
            {
                int sent = SendSome(bytes, length, wait: true);
                bytes += sent;
                length -= sent;
            }
        }

        Pump();
        return !_isBroken;
    }

    /// <summary>Ends the thread for slow clients. The connection's thread, when no request is in flight any more.</summary>
    public void Dispose()
    {
        Thread? thread;
        lock (_sendLock)
        {
            _isEnding = true;
            thread = _backlogThread;
        }

        if (thread is not null)
        {
            WakeBacklogThread();
            thread.Join();
        }

        _backlog.Dispose();
        NativeMemory.Free(_staging);
    }

    // The one who holds the lock looks at the queue again after leaving it, so that failing to get it is no reason to wait.
    private void Pump()
    {
        Interlocked.MemoryBarrier();
        while (!_isBacklogged && HasQueued() && Monitor.TryEnter(_sendLock))
        {
            try
            {
                if (!Drain(wait: false)) BeginBacklog();
            }
            finally
            {
                Monitor.Exit(_sendLock);
            }
        }
    }

    private bool HasQueued()
    {
        lock (_queueLock) return !_queue.IsEmpty;
    }

    private void BeginBacklog()
    {
        if (_backlogThread is null && !TryStartBacklogThread())
        {
            _isBroken = true;
            DropAll();
            return;
        }

        _isBacklogged = true;
        WakeBacklogThread();
    }

    // False when the host has no thread left: then this client, which did not keep up, is given up.
    private bool TryStartBacklogThread()
    {
        try
        {
            var thread = new Thread(SendBacklog) { IsBackground = true, Name = "nbd slow client" };
            thread.Start();
            _backlogThread = thread;
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
    }

    private void WakeBacklogThread()
    {
        if (_backlog.CurrentCount == 0) _backlog.Release();
    }

    private void SendBacklog()
    {
        while (true)
        {
            _backlog.Wait();
            if (_isEnding) return;
            lock (_sendLock)
            {
                Drain(wait: true);
                _isBacklogged = false;
            }

            Pump();
        }
    }

    private bool Drain(bool wait)
    {
        while (!_isBroken)
        {
            if (_stagedFrom < _stagedTo)
            {
                int sent = SendSome(_staging + _stagedFrom, _stagedTo - _stagedFrom, wait);
                if (sent == 0 && !_isBroken) return false;
                _stagedFrom += sent;
            }
            else if (_large is not null)
            {
                int sent = SendSome(_largeFrom, _largeLeft, wait);
                if (sent == 0 && !_isBroken) return false;
                _largeFrom += sent;
                _largeLeft -= sent;
                if (_largeLeft == 0) ReleaseLarge();
            }
            else if (!StageNext())
            {
                return true;
            }
        }

        DropAll();
        return true;
    }

    private int SendSome(byte* bytes, int length, bool wait)
    {
        int sent = SocketSyscalls.Send(_fd, bytes, length, wait: false);
        if (sent == SocketSyscalls.WouldBlock && wait)
        {
            Volatile.Write(ref _waitingSince, Stopwatch.GetTimestamp());
            sent = SocketSyscalls.Send(_fd, bytes, length, wait: true);
            Volatile.Write(ref _waitingSince, 0);
        }

        if (sent >= 0) return sent;
        if (sent != SocketSyscalls.WouldBlock) _isBroken = true;
        return 0;
    }

    // Gathers small replies, or takes one large one. False when nothing is queued.
    private bool StageNext()
    {
        _stagedFrom = _stagedTo = 0;
        while (TakeIfFits(out PendingRequest? request))
        {
            int payload = request!.ReplyLength;
            if (payload > MaxStagedPayload)
            {
                StartLarge(request);
                return true;
            }

            var room = new Span<byte>(_staging + _stagedTo, StagingBytes - _stagedTo);
            int header = NbdReply.WriteHeader(room, request.Request, _transmission.IsStructured, request.Error, payload);
            if (payload > 0) request.Buffer!.Span(payload).CopyTo(room[header..]);
            _stagedTo += header + payload;
            _transmission.Release(request);
        }

        return _stagedTo > 0;
    }

    private bool TakeIfFits(out PendingRequest? request)
    {
        lock (_queueLock)
        {
            request = _queue.Head;
            if (request is null) return false;
            bool isLarge = request.ReplyLength > MaxStagedPayload;
            bool fits = isLarge ? _stagedTo == 0 : StagingBytes - _stagedTo >= NbdReply.MaxHeaderBytes + request.ReplyLength;
            if (fits) _queue.Dequeue();
            return fits;
        }
    }

    private void StartLarge(PendingRequest request)
    {
        Span<byte> header = stackalloc byte[NbdReply.MaxHeaderBytes];
        int length = NbdReply.WriteHeader(header, request.Request, _transmission.IsStructured, request.Error, request.ReplyLength);
        _large = request;
        _largeFrom = request.Buffer!.Payload - length;
        _largeLeft = length + request.ReplyLength;
        header[..length].CopyTo(new Span<byte>(_largeFrom, length));
    }

    private void ReleaseLarge()
    {
        PendingRequest request = _large!;
        _large = null;
        _transmission.Release(request);
    }

    private void DropAll()
    {
        _stagedFrom = _stagedTo = 0;
        if (_large is not null) ReleaseLarge();
        while (true)
        {
            PendingRequest? request;
            lock (_queueLock) request = _queue.Dequeue();
            if (request is null) return;
            _transmission.Release(request);
        }
    }
}
