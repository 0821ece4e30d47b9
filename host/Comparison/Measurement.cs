using System.Diagnostics;

namespace StoragePlugins.Host.Comparison;

/// <summary>Everything measured of one contender under one workload.</summary>
internal sealed class Measurement(Contender contender, Workload workload)
{
    private readonly List<RoundFigures> _rounds = [];
    private readonly List<long[]> _ticks = [];
    private StorageCounts _measured, _openToClose;
    private long _countedOperations;

    /// <summary>Who.</summary>
    public Contender Contender => contender;

    /// <summary>What.</summary>
    public Workload Workload => workload;

    /// <summary>The timed rounds.</summary>
    public IReadOnlyList<RoundFigures> Rounds => _rounds;

    /// <summary>The median of the rounds' medians, in µs.</summary>
    public double MedianMicroseconds => Quantiles.Median([.. _rounds.Select(round => round.MedianMicroseconds)]);

    /// <summary>The 99th percentile of the operations of all rounds, in µs.</summary>
    public double P99Microseconds => Microseconds(Quantiles.Percentile([.. _ticks.SelectMany(each => each).Order()], 0.99));

    /// <summary>The median of the rounds' rates.</summary>
    public double OperationsPerSecond => Quantiles.Median([.. _rounds.Select(round => round.OperationsPerSecond)]);

    /// <summary>(largest − smallest) / median of the rounds' medians.</summary>
    public double Spread => (_rounds.Max(round => round.MedianMicroseconds) - _rounds.Min(round => round.MedianMicroseconds)) / MedianMicroseconds;

    /// <summary>Adds a timed round, and its counts when the disk counted.</summary>
    public void AddRound(RunResult result)
    {
        if (contender.CountsWhileTimed) AddCounts(result);
        long[] sorted = [.. result.Ticks.Order()];
        _ticks.Add(sorted);
        _rounds.Add(new RoundFigures(
            Microseconds(Quantiles.Percentile(sorted, 0.5)), Microseconds(Quantiles.Percentile(sorted, 0.99)), result.Ticks.Length * (double)Stopwatch.Frequency / result.ElapsedTicks));
    }

    /// <summary>Adds what a run cost the host's storage.</summary>
    public void AddCounts(RunResult result)
    {
        if (result is not { Measured: { } measured, OpenToClose: { } openToClose }) return;
        _measured += measured;
        _openToClose += openToClose;
        _countedOperations += result.Ticks.Length;
    }

    /// <summary>Costs of an operation; null when nobody counted.</summary>
    /// <param name="openToClose">With what opening and closing costs.</param>
    public OperationCosts? Costs(bool openToClose)
    {
        if (_countedOperations == 0) return null;
        StorageCounts counts = openToClose ? _openToClose : _measured;
        double operations = _countedOperations;
        return new OperationCosts(counts.HostFlushes / operations, counts.Barriers / operations, counts.WrittenBytes / operations, counts.PreallocatedBytes / operations);
    }

    /// <summary>This one's latency in terms of another's: the median of the ratios of each round, whose runs met the same machine.</summary>
    public double RatioTo(Measurement other) => Quantiles.Median([.. _rounds.Zip(other.Rounds, (own, its) => own.MedianMicroseconds / its.MedianMicroseconds)]);

    private static double Microseconds(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
}

/// <summary>Figures of one round.</summary>
/// <param name="MedianMicroseconds">Of its operations.</param>
/// <param name="P99Microseconds">Of its operations.</param>
/// <param name="OperationsPerSecond">Of all clients together.</param>
internal sealed record RoundFigures(double MedianMicroseconds, double P99Microseconds, double OperationsPerSecond);

/// <summary>What an operation, one write and one flush of the guest, costs the host's storage.</summary>
/// <param name="HostFlushes">Flushes.</param>
/// <param name="Barriers">Barriers.</param>
/// <param name="WrittenBytes">Bytes, without preallocation.</param>
/// <param name="PreallocatedBytes">Zeros written ahead.</param>
internal sealed record OperationCosts(double HostFlushes, double Barriers, double WrittenBytes, double PreallocatedBytes);

/// <summary>Order statistics.</summary>
internal static class Quantiles
{
    /// <summary>The middle, or the mean of the two middle ones.</summary>
    public static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    /// <summary>The nearest rank of sorted values.</summary>
    public static long Percentile(long[] sorted, double fraction) => sorted[Math.Clamp((int)Math.Ceiling(fraction * sorted.Length) - 1, 0, sorted.Length - 1)];
}
