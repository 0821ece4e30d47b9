namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Threads for requests that may block, shared by all connections of a server.</summary>
/// <remarks>
/// Fair: connections with waiting requests take turns, one request each, so that a deep queue of one does not delay the single request of
/// another. Bounded by the connections' own limits of requests in flight. Threads are started when all others are busy and stay.
/// </remarks>
internal sealed class WorkerPool
{
    private readonly object _lock = new();
    private readonly int _maxThreads;
    private readonly string _name;
    private readonly Queue<WorkerLane> _turns = new();
    private readonly List<Thread> _threads = [];
    private int _idle;
    private bool _stopping;

    /// <param name="name">For the threads.</param>
    /// <param name="maxThreads">At most so many.</param>
    public WorkerPool(string name, int maxThreads)
    {
        _name = name;
        _maxThreads = maxThreads;
    }

    /// <summary>Starts the first thread, so that there is one whatever happens to the others.</summary>
    public void Start()
    {
        lock (_lock) StartThread();
    }

    /// <summary>Hands a request over, after <see cref="Start"/>. Never blocks.</summary>
    /// <param name="lane">The connection's.</param>
    /// <param name="request">What to execute.</param>
    public void Enqueue(WorkerLane lane, PendingRequest request)
    {
        lock (_lock)
        {
            bool hadNoTurn = lane.Waiting.IsEmpty;
            lane.Waiting.Enqueue(request);
            if (hadNoTurn) _turns.Enqueue(lane);
            if (_idle > 0) Monitor.Pulse(_lock);
            else if (_threads.Count < _maxThreads) TryStartThread();
        }
    }

    /// <summary>Lets the threads end once nothing waits any more, and waits for them.</summary>
    /// <returns>False when some were still busy after <paramref name="timeout"/>: stuck in a device.</returns>
    public bool Stop(TimeSpan timeout)
    {
        Thread[] threads;
        lock (_lock)
        {
            _stopping = true;
            threads = [.. _threads];
            Monitor.PulseAll(_lock);
        }

        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        return threads.All(thread => thread.Join((int)Math.Max(0, deadline - Environment.TickCount64)));
    }

    private void StartThread()
    {
        var thread = new Thread(Work) { IsBackground = true, Name = $"{_name} worker {_threads.Count + 1}" };
        thread.Start();
        _threads.Add(thread);
    }

    private void TryStartThread()
    {
        try
        {
            StartThread();
        }
        catch (OutOfMemoryException)
        {
            // The host has no thread left: those that run will come to this request.
        }
    }

    private void Work()
    {
        while (Next() is { } request) request.Execute();
    }

    private PendingRequest? Next()
    {
        lock (_lock)
        {
            WorkerLane? lane;
            while (!_turns.TryDequeue(out lane))
            {
                if (_stopping) return null;
                _idle++;
                Monitor.Wait(_lock);
                _idle--;
            }

            PendingRequest request = lane.Waiting.Dequeue()!;
            if (!lane.Waiting.IsEmpty) _turns.Enqueue(lane);
            return request;
        }
    }
}

/// <summary>The requests of one connection that wait for a worker; guarded by the pool.</summary>
internal sealed class WorkerLane
{
    /// <summary>In order of arrival.</summary>
    internal PendingQueue Waiting;
}
