using System.Diagnostics;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>Threads that explore workload after workload until the budget is spent or enough failures were found, each watched for work that does not end.</summary>
/// <typeparam name="T">A failure, and beforehand what is being done.</typeparam>
/// <param name="settings">How many, how long.</param>
/// <param name="ledger">The states, which may be bounded too.</param>
/// <param name="name">Of the threads.</param>
/// <param name="hung">Makes a failure of what did not end.</param>
internal sealed class WorkerPool<T>(CrashTestSettings settings, StateLedger ledger, string name, Func<T, InvariantBrokenException, T> hung) where T : class
{
    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(200);

    private readonly List<T> _failures = [];
    private readonly Stopwatch _clock = new();
    private CancellationTokenSource? _stop;
    private long _nextWorkload;
    private long _workloads;

    /// <summary>Workloads explored so far.</summary>
    public long Workloads => Interlocked.Read(ref _workloads);

    /// <summary>Since the start; from the end on how long it took.</summary>
    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>What was found so far.</summary>
    public IReadOnlyList<T> Failures
    {
        get
        {
            lock (_failures) return [.. _failures];
        }
    }

    /// <summary>Runs to the end.</summary>
    /// <param name="explore">Explores the workload of an index; looks at the token now and then.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(Action<long, Watch, CancellationToken> explore, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _stop = stop;
        stop.CancelAfter(settings.Budget);
        _clock.Start();
        var watches = new Watch[settings.Workers];
        var workers = new Thread[settings.Workers];
        for (int w = 0; w < workers.Length; w++)
        {
            Watch watch = watches[w] = new Watch();
            // A hung recovery must not keep the process.
            workers[w] = new Thread(() => Work(explore, watch, stop)) { IsBackground = true, Name = $"{name} {w}" };
            workers[w].Start();
        }

        for (int w = 0; w < workers.Length; w++)
        {
            while (!workers[w].Join(BetweenLooks) && !IsHung(watches[w]))
            {
            }
        }

        _clock.Stop();
    }

    /// <summary>Notes a failure; enough of them end the run.</summary>
    public void Fail(T failure)
    {
        lock (_failures)
        {
            if (_failures.Count >= settings.StopAfter) return;
            _failures.Add(failure);
            if (_failures.Count >= settings.StopAfter) _stop!.Cancel();
        }
    }

    private void Work(Action<long, Watch, CancellationToken> explore, Watch watch, CancellationTokenSource stop)
    {
        while (!stop.IsCancellationRequested)
        {
            long number = Interlocked.Increment(ref _nextWorkload) - 1, index = settings.FirstWorkload + number;
            if (number >= settings.MaxWorkloads) return;
            explore(index, watch, stop.Token);
            Interlocked.Increment(ref _workloads);
            if (ledger.DistinctStates >= settings.MaxDistinctStates) stop.Cancel();
        }
    }

    // I2: whatever takes longer than this does not end.
    private bool IsHung(Watch watch)
    {
        if (watch.Subject is not { } subject || watch.Elapsed < settings.StateTimeout) return false;
        Fail(hung(subject, new InvariantBrokenException(Invariant.I2RecoveryEnds, $"{watch.What} has not ended after {settings.StateTimeout.TotalSeconds:0} seconds")));
        return true;
    }

    /// <summary>What a worker does, for the one who watches whether it ends.</summary>
    internal sealed class Watch
    {
        private long _since;
        private volatile T? _subject;

        public T? Subject => _subject;

        public string What { get; private set; } = "";

        public TimeSpan Elapsed => Stopwatch.GetElapsedTime(Volatile.Read(ref _since));

        /// <summary>The worker begins something that has to end.</summary>
        public void Begin(T subject, string what)
        {
            Volatile.Write(ref _since, Stopwatch.GetTimestamp());
            (What, _subject) = (what, subject);
        }

        /// <summary>It has ended.</summary>
        public void End() => _subject = null;

        /// <summary>Begins, works and ends.</summary>
        public TResult While<TResult>(T subject, string what, Func<TResult> work)
        {
            Begin(subject, what);
            try
            {
                return work();
            }
            finally
            {
                End();
            }
        }
    }
}
