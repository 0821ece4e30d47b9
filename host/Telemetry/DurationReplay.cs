using System.Diagnostics.Metrics;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Telemetry;

/// <summary>
/// Fills a histogram of durations from the buckets that exports count in anyway (<see cref="RequestLatencies"/>): each time somebody reads the instruments,
/// what came since the last time is recorded, a request at a time, with the middle of its bucket.
/// </summary>
/// <remarks>
/// <para>There is no histogram that is observed in System.Diagnostics.Metrics, and recording in the data path costs 30 to 100 ns a request in the SDK's
/// aggregation, on the threads that serve. Here it is the reader's thread, and nothing at all while nobody listens.</para>
/// <para>Values are right to a sixteenth, counts are exact. Thread-safe.</para>
/// </remarks>
internal sealed class DurationReplay(Histogram<double> histogram)
{
    /// <summary>
    /// More requests than this in one reading are not replayed: it is what came before somebody began to listen to a host that has run for long, and would
    /// take hours. Some 5 s of work at most; 1 M requests a second in readings of a minute.
    /// </summary>
    public const long MaxReplayed = 60_000_000;

    private static readonly double[] s_seconds = [.. Enumerable.Range(0, LatencyHistogram.CountsLength).Select(bucket => LatencyHistogram.Middle(bucket).TotalSeconds)];

    private readonly Lock _replaying = new();
    private readonly Dictionary<IMeteredDisk, long[][]> _replayed = [];

    /// <summary>1, 2, 5 of each decade, 1 µs to 10 s: from a read out of memory to a device that has failed.</summary>
    public static IReadOnlyList<double> Boundaries { get; } = [.. from decade in Enumerable.Range(-6, 7) from step in (int[])[1, 2, 5] select double.Parse($"{step}e{decade}", System.Globalization.CultureInfo.InvariantCulture), 10.0];

    /// <summary>Records what came since the last time.</summary>
    /// <param name="disks">What is served now; of others nothing is kept.</param>
    /// <param name="tagsOf">A disk's tags.</param>
    public void Replay(IReadOnlyList<IMeteredDisk> disks, Func<IMeteredDisk, KeyValuePair<string, object?>[]> tagsOf)
    {
        if (!histogram.Enabled) return;
        lock (_replaying)
        {
            foreach (IMeteredDisk gone in _replayed.Keys.Except(disks).ToArray()) _replayed.Remove(gone);
            foreach (IMeteredDisk disk in disks)
            {
                if (!_replayed.TryGetValue(disk, out long[][]? before)) _replayed[disk] = before = [.. RequestLatencies.Kinds.Select(_ => new long[LatencyHistogram.CountsLength])];
                foreach (RequestKind kind in RequestLatencies.Kinds) Replay(disk, kind, before[(int)kind], tagsOf);
            }
        }
    }

    private void Replay(IMeteredDisk disk, RequestKind kind, long[] before, Func<IMeteredDisk, KeyValuePair<string, object?>[]> tagsOf)
    {
        Span<long> now = stackalloc long[LatencyHistogram.CountsLength];
        now.Clear();
        disk.AddLatency(now, kind);
        long came = 0;
        for (int i = 0; i < now.Length; i++) came += now[i] - before[i];
        if (came is > 0 and <= MaxReplayed)
        {
            KeyValuePair<string, object?>[] tags = [.. tagsOf(disk), DiskInstruments.KindOf(kind)];
            for (int i = 0; i < now.Length; i++)
                for (long times = now[i] - before[i]; times > 0; times--) histogram.Record(s_seconds[i], tags);
        }

        now.CopyTo(before);
    }
}
