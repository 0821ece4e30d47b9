namespace StoragePlugins.Host.Disks;

/// <summary>What a client asks of a disk.</summary>
internal enum RequestKind
{
    /// <summary>Bytes of the disk.</summary>
    Read,

    /// <summary>Bytes for the disk, forced to be durable or not.</summary>
    Write,

    /// <summary>What was written is to be durable.</summary>
    Flush,

    /// <summary>Bytes that are of no use any more.</summary>
    Discard,

    /// <summary>Zeros, without sending them.</summary>
    Zero,

    /// <summary>What was written persists before what comes next.</summary>
    Barrier,

    /// <summary>Whatever else the export's protocol has.</summary>
    Other,
}

/// <summary>How long the requests of a disk took, by kind. Lock-free, fixed memory, no allocation when recording.</summary>
internal sealed class RequestLatencies
{
    // Made when the first request of its kind comes: most disks never see all kinds, and snapshots that are exported seldom see any.
    private readonly LatencyHistogram?[] _kinds = new LatencyHistogram?[Kinds.Count];

    /// <summary>Every kind, in the order of its number.</summary>
    public static IReadOnlyList<RequestKind> Kinds { get; } = Enum.GetValues<RequestKind>();

    /// <summary>Counts a request.</summary>
    /// <param name="kind">What it was.</param>
    /// <param name="ticks">Its duration in units of <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>.</param>
    public void Record(RequestKind kind, long ticks) => (Volatile.Read(ref _kinds[(int)kind]) ?? Make(kind)).Record(ticks);

    /// <summary>Adds the counts so far of one kind to <paramref name="counts"/>, which has <see cref="LatencyHistogram.CountsLength"/> elements.</summary>
    public void AddTo(Span<long> counts, RequestKind kind) => Volatile.Read(ref _kinds[(int)kind])?.AddTo(counts);

    /// <summary>Adds the counts so far, of all kinds, to <paramref name="counts"/>.</summary>
    public void AddTo(Span<long> counts)
    {
        foreach (RequestKind kind in Kinds) AddTo(counts, kind);
    }

    /// <summary>A percentile of all requests since the disk was opened.</summary>
    public TimeSpan Percentile(double fraction)
    {
        Span<long> counts = stackalloc long[LatencyHistogram.CountsLength];
        counts.Clear();
        AddTo(counts);
        return LatencyHistogram.Percentile(counts, fraction);
    }

    private LatencyHistogram Make(RequestKind kind)
    {
        var made = new LatencyHistogram();
        return Interlocked.CompareExchange(ref _kinds[(int)kind], made, null) ?? made;
    }
}
