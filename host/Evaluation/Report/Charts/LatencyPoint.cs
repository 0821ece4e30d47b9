using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>A point of a percentile curve.</summary>
/// <param name="Rareness">Slower ones are one in 10^this: 0 for the fastest operation, 1 for the 90th percentile, 2 for the 99th.</param>
/// <param name="Microseconds">The latency there.</param>
/// <param name="Label">What it is called when it is exact; null for the end of a bucket.</param>
internal sealed record LatencyPoint(double Rareness, double Microseconds, string? Label)
{
    // Where nothing counts the operations: the report's largest percentile is exact for this many.
    private const long FewestForP999 = 1000;

    // A bucket's upper end is this much above its lower.
    private static readonly double s_bucketGrowth = Math.Pow(2, 0.25);

    /// <summary>The curve: the ends of the histogram's buckets and the exact percentiles between them, in order; latencies that are not above zero have no place on it.</summary>
    public static List<LatencyPoint> CurveOf(LatencyFigures latency)
    {
        LatencyBucket[] buckets = [.. latency.Histogram.Where(bucket => bucket.Operations > 0 && double.IsFinite(bucket.UpToMicroseconds)).OrderBy(bucket => bucket.UpToMicroseconds)];
        double operations = buckets.Sum(bucket => (double)bucket.Operations);
        double slowest = Math.Log10(operations > 0 ? operations : FewestForP999);
        var points = new List<LatencyPoint>
        {
            new(Math.Log10(2), latency.P50, "median"),
            new(1, latency.P90, "90 %"),
            new(2, latency.P99, "99 %"),
            new(3, latency.P999, "99.9 %"),
        };
        // Of a hundred operations the slowest is the 99th percentile and all beyond.
        points.RemoveAll(point => point.Rareness >= slowest);
        points.Add(new(slowest, latency.Largest, "slowest"));

        double faster = 0;
        foreach (LatencyBucket bucket in buckets)
        {
            if (faster == 0) points.Add(new(0, Math.Min(bucket.UpToMicroseconds / s_bucketGrowth, latency.P50), null));
            faster += bucket.Operations;
            if (faster < operations) points.Add(new(Math.Log10(operations / (operations - faster)), bucket.UpToMicroseconds, null));
        }

        points.RemoveAll(point => !double.IsFinite(point.Microseconds) || point.Microseconds <= 0);
        points.Sort((one, other) => one.Rareness.CompareTo(other.Rareness));
        return points;
    }
}
