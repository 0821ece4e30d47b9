using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>A connection with the kernel: from the first message to the unmount.</summary>
/// <remarks><see cref="Start"/> once; the threads end when the file system is unmounted or the connection is aborted.</remarks>
internal sealed class FuseSession : IDisposable
{
    // Names, attributes and one file's worth of path: nothing on these threads recurses deeply, but a plugin's code runs on them.
    private const int StackBytes = 1 << 20;

    private readonly SafeFileHandle _device;
    private readonly MountedTree _mounted;
    private readonly FuseSessionOptions _options;
    private readonly FuseDispatcher _dispatcher;
    private readonly ILogger _logger;
    private readonly List<SafeFileHandle> _clones = [];
    private readonly List<Thread> _threads = [];
    private readonly List<FuseWorker> _workers = [];
    private readonly ManualResetEventSlim _ended = new();
    private readonly ReadingTurn _turn;
    private readonly CallerPlacement _placement = new();
    private readonly ReturningSpace _returning = new();
    private readonly Lock _starting = new();
    private int _running;

    /// <param name="device">The descriptor that the file system was mounted with; disposed with this object.</param>
    /// <param name="mounted">What is served.</param>
    /// <param name="options">Threads and caches.</param>
    /// <param name="logger">Failures.</param>
    public FuseSession(SafeFileHandle device, MountedTree mounted, FuseSessionOptions options, ILogger logger)
    {
        (_device, _mounted, _options, _logger) = (device, mounted, options, logger);
        _dispatcher = new FuseDispatcher(mounted, logger);
        _turn = new ReadingTurn(TryStartThread);
    }

    /// <summary>Set when the file system is unmounted, or the connection is gone.</summary>
    public WaitHandle Ended => _ended.WaitHandle;

    /// <summary>The kernel's protocol version, once started.</summary>
    public (uint Major, uint Minor) KernelProtocol { get; private set; }

    /// <summary>Requests that are being answered now.</summary>
    public int ActiveRequests => _dispatcher.ActiveRequests;

    /// <summary>Agrees with the kernel on the protocol and starts the threads; programs can use the file system when it returns.</summary>
    /// <exception cref="DiagnosticException">SP4036: the kernel's protocol is too old. SP4034: the connection broke.</exception>
    public void Start()
    {
        var first = new FuseWorker(_device, _dispatcher);
        _workers.Add(first);
        Negotiate(first);
        lock (_starting) StartThread(first);
    }

    /// <summary>From now on every request is answered with an error.</summary>
    public void RefuseRequests() => _dispatcher.Refuse();

    /// <summary>Answers every new request with an error, and waits for the running ones.</summary>
    /// <returns>False when some were still running after <paramref name="timeout"/>.</returns>
    public bool Quiesce(TimeSpan timeout) => _dispatcher.Quiesce(timeout);

    /// <summary>Waits for the threads after <see cref="Ended"/>.</summary>
    /// <returns>False when some were still inside a request after <paramref name="timeout"/>.</returns>
    public bool Join(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        Thread[] threads;
        lock (_starting) threads = [.. _threads];
        foreach (Thread thread in threads)
        {
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (!thread.Join(left > TimeSpan.Zero ? left : TimeSpan.Zero)) return false;
        }

        return true;
    }

    /// <summary>Closes the connection. Buffers of threads that are stuck in a request are left to them.</summary>
    public void Dispose()
    {
        foreach (SafeFileHandle clone in _clones) clone.Dispose();
        _device.Dispose();
        if (!Join(TimeSpan.Zero)) return;
        foreach (FuseWorker worker in _workers) worker.Dispose();
        _turn.Dispose();
        _placement.Dispose();
        _ended.Dispose();
    }

    private void Negotiate(FuseWorker worker)
    {
        while (true)
        {
            int bytes = worker.Receive(out int error);
            if (error is Errno.Interrupted or Errno.TryAgain) continue;
            if (error != 0) throw new DiagnosticException("SP4034", "the connection with the kernel broke before it began", found: Media.Libc.ErrorText(error));
            if (!worker.TryParse(bytes, out FuseRequestHeader header, out ReadOnlySpan<byte> body)) continue;
            if (header.Opcode != FuseOpcode.Init)
            {
                worker.Reply(header.Unique, Errno.Io, 0);
                continue;
            }

            (InitReply reply, bool agreed) = FuseNegotiation.Answer(body, _mounted, _options);
            KernelProtocol = FuseNegotiation.VersionOf(body);
            if (agreed)
            {
                error = worker.Reply(header.Unique, reply);
                if (error == 0) return;
                throw new DiagnosticException("SP4034", "the kernel refused the first reply", found: Media.Libc.ErrorText(error));
            }

            if (KernelProtocol.Major > FuseProtocol.Major)
            {
                // A newer major asks again with ours.
                worker.Reply(header.Unique, reply);
                continue;
            }

            worker.Reply(header.Unique, Errno.Protocol, 0);
            throw new DiagnosticException("SP4036", "the kernel's FUSE protocol is too old", "/dev/fuse", $"{FuseProtocol.Major}.{FuseProtocol.MinMinor} or later (Linux 5.4)", $"{KernelProtocol.Major}.{KernelProtocol.Minor}", "use a newer kernel, or serve the image by 'sphost serve'");
        }
    }

    // Where no more descriptors can be had, threads share the first.
    private unsafe SafeFileHandle CloneDevice()
    {
        SafeFileHandle clone = FuseCalls.Open(FuseMount.DevicePath, FuseCalls.OpenReadWrite | FuseCalls.OpenCloseOnExec);
        uint original = (uint)_device.DangerousGetHandle();
        if (!clone.IsInvalid && FuseCalls.IoControl(clone, FuseCalls.CloneDevice, &original) == 0)
        {
            _clones.Add(clone);
            return clone;
        }

        clone.Dispose();
        return _device;
    }

    private bool TryStartThread()
    {
        lock (_starting)
        {
            if (_threads.Count >= _options.Threads || _ended.IsSet) return false;
            try
            {
                var worker = new FuseWorker(CloneDevice(), _dispatcher);
                _workers.Add(worker);
                StartThread(worker);
                return true;
            }
            catch (OutOfMemoryException)
            {
                // The host has no thread, or no memory, left: those that run will come to the request.
                return false;
            }
        }
    }

    private void StartThread(FuseWorker worker)
    {
        var thread = new Thread(() => Run(worker), StackBytes) { IsBackground = true, Name = $"fuse {_threads.Count + 1}" };
        Interlocked.Increment(ref _running);
        try
        {
            thread.Start();
        }
        catch (OutOfMemoryException)
        {
            Interlocked.Decrement(ref _running);
            throw;
        }

        _threads.Add(thread);
    }

    private void Run(FuseWorker worker)
    {
        // Only with the right to; without it the risk is that of every FUSE server of an ordinary user.
        _ = FuseCalls.ProcessControl(FuseCalls.SetIoFlusher, 1, 0, 0, 0);
        using var reader = new Reader();
        try
        {
            while (_turn.Take(reader))
            {
                do
                {
                    if (!ServeOne(worker, reader)) return;
                }
                while (_turn.IsHeldBy(reader));
            }
        }
        finally
        {
            _turn.End();
            if (Interlocked.Decrement(ref _running) == 0) _ended.Set();
        }
    }

    private bool ServeOne(FuseWorker worker, Reader reader)
    {
        int bytes = worker.Receive(out int error);
        if (error != 0) return GoesOn(error);
        (FuseOpcode opcode, uint caller, bool callerWaits) = worker.Look(bytes);
        bool isFlush = opcode is FuseOpcode.FSync or FuseOpcode.FSyncDirectory or FuseOpcode.SyncFs;
        _turn.Begin(reader);
        // One caller that waits has nothing else under way: asking the kernel costs half a microsecond.
        bool isAlone = callerWaits && caller == _placement.Caller;
        if (!ReturningSpace.IsGivenBackBy(opcode)) _placement.Observe(caller, callerWaits);
        _returning.Begin(opcode);
        if (_options.Threads > 1 && (_turn.IsSlow(isFlush) || (!isAlone && worker.HasMore()))) _turn.Pass(reader);
        worker.MoveTo(_placement.Processor);
        reader.Plug.Set();
        try
        {
            FuseAnswer answer = Answer(worker, reader, bytes);
            // Before the answer is sent: what comes upon it is not what came meanwhile.
            _turn.Finish(reader, isFlush, worker.HasMore);
            error = worker.Send(answer);
        }
        finally
        {
            reader.Plug.Release();
            _returning.Finish(opcode);
        }

        return error == 0 || GoesOn(error);
    }

    private FuseAnswer Answer(FuseWorker worker, Reader reader, int bytes)
    {
        FuseAnswer answer = worker.Serve(bytes);
        if (!answer.MayFindSpaceLater || _options.Threads == 1) return answer;
        _turn.Pass(reader);
        _returning.Await(worker.HasMore);
        return worker.Serve(bytes);
    }

    private bool GoesOn(int error)
    {
        switch (error)
        {
            case Errno.Interrupted or Errno.TryAgain or (int)FileError.NotFound:
                // ENOENT: a request that was given up before it was read, or whose reply nobody waits for any more.
                return true;
            case Errno.NoSuchDevice:
                return false;
            case Errno.ConnectionAborted:
                _logger.LogWarning("SP4038: the kernel gave the connection up (abort in /sys/fs/fuse/connections)");
                return false;
            case (int)FileError.InvalidArgument:
                _logger.LogError("SP4039: the kernel refused a reply as malformed");
                return true;
            default:
                _logger.LogError("SP4038: the device failed: {Reason}", Media.Libc.ErrorText(error));
                return false;
        }
    }
}
