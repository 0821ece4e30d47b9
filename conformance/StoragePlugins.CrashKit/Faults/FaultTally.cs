namespace StoragePlugins.CrashKit.Faults;

/// <summary>Counts faults by kind and outcome. Thread-safe.</summary>
internal sealed class FaultTally
{
    private static readonly int Outcomes = Enum.GetValues<FaultOutcome>().Length;

    private readonly long[] _counts = new long[Enum.GetValues<FaultKind>().Length * Outcomes];

    public void Count(FaultKind kind, FaultOutcome outcome) => Interlocked.Increment(ref _counts[((int)kind * Outcomes) + (int)outcome]);

    /// <summary>What was seen at least once, by kind, then outcome.</summary>
    public IReadOnlyList<FaultCount> Counts() =>
        [.. Enumerable.Range(0, _counts.Length).Select(i => new FaultCount((FaultKind)(i / Outcomes), (FaultOutcome)(i % Outcomes), Interlocked.Read(ref _counts[i]))).Where(count => count.Count > 0)];
}
