using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Dashboard;

/// <summary>What a disk did in each of the last seconds, in a ring. By one thread at a time.</summary>
internal sealed class DiskHistory
{
    /// <summary>Ten minutes at a sample a second: what somebody wants to see who was told that it is slow.</summary>
    public const int Samples = 600;

    /// <summary>What a sample holds, in the order of its numbers; rates are a second. A figure that there is none of is not a number.</summary>
    public static readonly string[] Series =
    [
        "reads", "writes", "flushes", "others", "readBytes", "writtenBytes", "p50", "p99", "guestBarriers", "hostFlushes", "barriers", "hostBytes", "journalFill", "pending", "oldestPending", "active",
    ];

    private readonly IMeteredDisk _disk;
    private readonly float[] _values = new float[Samples * Series.Length];
    private readonly long[] _times = new long[Samples];
    private MeterReading _before;
    private long[] _latencyBefore;
    private long _at = Stopwatch.GetTimestamp();
    private int _count;

    public DiskHistory(IMeteredDisk disk)
    {
        _disk = disk;
        Size = disk.Size;
        _before = disk.Meter.Read();
        _latencyBefore = DiskStatistics.LatencyOf(disk);
    }

    /// <summary>Its size in bytes when it was first seen.</summary>
    public long Size { get; }

    /// <summary>Adds what happened since the last sample.</summary>
    /// <param name="time">Now, in ms since 1970.</param>
    public void Sample(long time)
    {
        MeterReading now = _disk.Meter.Read();
        long[] latency = DiskStatistics.LatencyOf(_disk);
        double seconds = Math.Max(Stopwatch.GetElapsedTime(_at).TotalSeconds, 1e-3);
        int slot = _count++ % Samples;
        _times[slot] = time;
        Fill(_values.AsSpan(slot * Series.Length, Series.Length), now, latency, seconds);
        (_before, _latencyBefore, _at) = (now, latency, Stopwatch.GetTimestamp());
    }

    /// <summary>Writes the last sample, or all of them, oldest first: each an array of its time and its numbers.</summary>
    public void Write(Utf8JsonWriter json, bool all)
    {
        int kept = Math.Min(_count, Samples);
        for (int i = all ? _count - kept : Math.Max(0, _count - 1); i < _count; i++)
        {
            int slot = i % Samples;
            if (all) json.WriteStartArray();
            json.WriteNumberValue(_times[slot]);
            foreach (float value in _values.AsSpan(slot * Series.Length, Series.Length))
            {
                if (float.IsNaN(value)) json.WriteNullValue();
                else json.WriteNumberValue(Math.Round((decimal)value, 2));
            }

            if (all) json.WriteEndArray();
        }
    }

    /// <summary>Its totals, as <c>sphost disk stats --json</c> prints them.</summary>
    public JsonObject Statistics() => DiskStatistics.Describe(_disk);

    private void Fill(Span<float> values, MeterReading now, long[] latency, double seconds)
    {
        MeterReading before = _before;
        float Rate(Func<MeterReading, long> figure) => (float)((figure(now) - figure(before)) / seconds);
        for (int i = 0; i < latency.Length; i++) _latencyBefore[i] = latency[i] - _latencyBefore[i];
        JournalReading journal = now.Journal;
        ReadOnlySpan<float> filled =
        [
            Rate(m => m.GuestReads),
            Rate(m => m.GuestWrites - m.GuestDiscards - m.GuestZeroings),
            Rate(m => m.GuestFlushes),
            Rate(m => m.GuestDiscards + m.GuestZeroings),
            Rate(m => m.GuestReadBytes),
            Rate(m => m.GuestWrittenBytes - m.GuestDiscardedBytes - m.GuestZeroedBytes),
            Percentile(_latencyBefore, 0.5),
            Percentile(_latencyBefore, 0.99),
            Rate(m => m.GuestBarriers),
            Rate(m => m.HostFlushes),
            Rate(m => m.Barriers),
            Rate(m => m.HostWrittenBytes),
            journal.IsPresent ? (float)(100.0 * journal.UsedBytes / journal.CapacityBytes) : float.NaN,
            journal.IsPresent ? journal.PendingTransactions : float.NaN,
            journal.IsPresent ? (float)journal.OldestPending.TotalSeconds : float.NaN,
            _disk.ActiveRequests,
        ];
        filled.CopyTo(values);
    }

    // In µs. Without requests there is none.
    private static float Percentile(long[] counts, double fraction) =>
        LatencyHistogram.Percentile(counts, fraction) is { Ticks: > 0 } found ? (float)found.TotalMicroseconds : float.NaN;
}
