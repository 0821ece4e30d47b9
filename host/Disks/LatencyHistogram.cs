using System.Diagnostics;
using System.Numerics;

namespace StoragePlugins.Host.Disks;

/// <summary>Counts how long requests took, in log-linear buckets. Lock-free, fixed memory, no allocation when recording.</summary>
/// <remarks>Each power of two of nanoseconds has eight equal buckets, so that a percentile is wrong by at most an eighth.</remarks>
internal sealed class LatencyHistogram
{
    private const int SubBucketBits = 3;
    private const int SubBuckets = 1 << SubBucketBits;

    // 2^40 ns is 18 minutes: longer ones count as that.
    private const int MaxPower = 40;
    private const int BucketCount = (MaxPower - SubBucketBits + 1) * SubBuckets;

    private static readonly double s_nanosecondsPerTick = 1e9 / Stopwatch.Frequency;

    private readonly long[] _buckets = new long[BucketCount];

    /// <summary>Counts a request.</summary>
    /// <param name="ticks">Its duration in units of <see cref="Stopwatch.GetTimestamp"/>.</param>
    public void Record(long ticks) => Interlocked.Increment(ref _buckets[BucketOf((long)(ticks * s_nanosecondsPerTick))]);

    /// <summary>Adds the counts so far to <paramref name="counts"/>, which has <see cref="CountsLength"/> elements.</summary>
    /// <remarks>Subtract an earlier reading from a later one for the requests in between.</remarks>
    public void AddTo(Span<long> counts)
    {
        for (int i = 0; i < BucketCount; i++) counts[i] += Volatile.Read(ref _buckets[i]);
    }

    /// <summary>Elements of a reading.</summary>
    public static int CountsLength => BucketCount;

    /// <summary>The duration that a fraction of the requests did not exceed.</summary>
    /// <param name="counts">A reading, or the difference of two.</param>
    /// <param name="fraction">0 … 1; 0.99 for p99.</param>
    /// <returns>The bucket's upper end; zero without requests.</returns>
    public static TimeSpan Percentile(ReadOnlySpan<long> counts, double fraction)
    {
        long total = 0;
        foreach (long count in counts) total += count;
        if (total == 0) return TimeSpan.Zero;

        long rank = Math.Max(1, (long)Math.Ceiling(total * fraction));
        long seen = 0;
        int bucket = 0;
        while ((seen += counts[bucket]) < rank) bucket++;
        return TimeSpan.FromMicroseconds(UpperEnd(bucket) / 1000.0);
    }

    /// <summary>A percentile of all requests since the disk was opened.</summary>
    public TimeSpan Percentile(double fraction)
    {
        Span<long> counts = stackalloc long[BucketCount];
        counts.Clear();
        AddTo(counts);
        return Percentile(counts, fraction);
    }

    /// <summary>The duration that stands for all of a bucket: its middle.</summary>
    /// <param name="bucket">An index of a reading.</param>
    public static TimeSpan Middle(int bucket) => TimeSpan.FromMicroseconds((LowerEnd(bucket) + UpperEnd(bucket)) / 2000.0);

    private static int BucketOf(long nanoseconds)
    {
        ulong value = (ulong)Math.Clamp(nanoseconds, 0, (1L << MaxPower) - 1);
        if (value < SubBuckets) return (int)value;
        int power = BitOperations.Log2(value);
        int sub = (int)(value >> (power - SubBucketBits)) & (SubBuckets - 1);
        return ((power - SubBucketBits + 1) << SubBucketBits) + sub;
    }

    private static long LowerEnd(int bucket) => bucket == 0 ? 0 : UpperEnd(bucket - 1);

    private static long UpperEnd(int bucket)
    {
        if (bucket < SubBuckets) return bucket + 1;
        int power = (bucket >> SubBucketBits) + SubBucketBits - 1;
        long step = 1L << (power - SubBucketBits);
        return (1L << power) + (((bucket & (SubBuckets - 1)) + 1) * step);
    }
}
