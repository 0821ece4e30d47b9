using System.Diagnostics;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation;

/// <summary>Latencies of operations, each with how often it was met: one by one where we take the time, bins where a program such as fio does.</summary>
internal sealed class LatencySamples
{
    private const double BucketsAnOctave = 4;

    private readonly List<(double Microseconds, long Count)> _samples = [];

    /// <summary>Operations.</summary>
    public long Count { get; private set; }

    /// <summary>Of <see cref="Stopwatch"/> ticks.</summary>
    public static LatencySamples OfTicks(IEnumerable<long> ticks)
    {
        var samples = new LatencySamples();
        foreach (long each in ticks) samples.Add(each * 1e6 / Stopwatch.Frequency, 1);
        return samples;
    }

    /// <summary>Adds operations of one latency.</summary>
    public void Add(double microseconds, long count)
    {
        _samples.Add((microseconds, count));
        Count += count;
    }

    /// <summary>Adds those of another run.</summary>
    public void Add(LatencySamples other)
    {
        _samples.AddRange(other._samples);
        Count += other.Count;
    }

    /// <summary>Percentiles and histogram; null without operations.</summary>
    public LatencyFigures? Figures()
    {
        if (Count == 0) return null;
        (double Microseconds, long Count)[] sorted = [.. _samples.OrderBy(sample => sample.Microseconds)];
        return new LatencyFigures(
            Percentile(sorted, 0.5), Percentile(sorted, 0.9), Percentile(sorted, 0.99), Count < 1000 ? sorted[^1].Microseconds : Percentile(sorted, 0.999), sorted[^1].Microseconds,
            [.. sorted.GroupBy(sample => BucketEnd(sample.Microseconds)).Select(bucket => new LatencyBucket(bucket.Key, bucket.Sum(sample => sample.Count)))]);
    }

    /// <summary>The upper end of the bucket that a latency belongs to: a power of 2^(1/4).</summary>
    internal static double BucketEnd(double microseconds)
        => Math.Round(Math.Pow(2, Math.Ceiling(Math.Round(Math.Log2(Math.Max(microseconds, double.Epsilon)) * BucketsAnOctave, 9)) / BucketsAnOctave), 3, MidpointRounding.AwayFromZero);

    // The nearest rank.
    private double Percentile((double Microseconds, long Count)[] sorted, double fraction)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(fraction * Count)), seen = 0;
        foreach ((double microseconds, long count) in sorted)
        {
            seen += count;
            if (seen >= rank) return microseconds;
        }

        return sorted[^1].Microseconds;
    }
}
