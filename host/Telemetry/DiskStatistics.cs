using System.Text.Json;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Telemetry;

/// <summary>The figures of a disk since it was opened, as <c>sphost disk stats --json</c> prints and the dashboard shows them.</summary>
internal static class DiskStatistics
{
    /// <summary>How a state is written.</summary>
    public static string NameOf(DiskState state) => state switch
    {
        DiskState.Serving => "serving",
        DiskState.ReadOnly => "read-only",
        _ => "durability lost",
    };

    /// <summary>How long the requests of all kinds took, as a reading of <see cref="LatencyHistogram"/>.</summary>
    public static long[] LatencyOf(IMeteredDisk disk)
    {
        var counts = new long[LatencyHistogram.CountsLength];
        foreach (RequestKind kind in RequestLatencies.Kinds) disk.AddLatency(counts, kind);
        return counts;
    }

    /// <summary>The figures now.</summary>
    public static JsonObject Describe(IMeteredDisk disk)
    {
        MeterReading m = disk.Meter.Read();
        long[] latency = LatencyOf(disk);
        var bytes = new JsonObject();
        foreach (ContentClass content in Enum.GetValues<ContentClass>())
            if (m.HostBytesByClass[(int)content] > 0) bytes[NameOf(content)] = m.HostBytesByClass[(int)content];
        return new JsonObject
        {
            ["name"] = disk.Name,
            ["pipeline"] = disk.Pipeline,
            ["state"] = NameOf(disk.State),
            ["guestReads"] = m.GuestReads,
            ["guestReadBytes"] = m.GuestReadBytes,
            ["guestWrites"] = m.GuestWrites,
            ["guestWrittenBytes"] = m.GuestWrittenBytes,
            ["guestDiscards"] = m.GuestDiscards,
            ["guestZeroings"] = m.GuestZeroings,
            ["guestFlushes"] = m.GuestFlushes,
            ["guestBarriers"] = m.GuestBarriers,
            ["hostReads"] = m.HostReads,
            ["hostReadBytes"] = m.HostReadBytes,
            ["hostFlushes"] = m.HostFlushes,
            ["barriers"] = m.Barriers,
            ["p50Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.5).TotalMicroseconds, 1),
            ["p99Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.99).TotalMicroseconds, 1),
            ["activeRequests"] = disk.ActiveRequests,
            ["connections"] = disk.Connections,
            ["hostBytesWritten"] = bytes,
            ["journal"] = Describe(m.Journal),
        };
    }

    /// <summary>What a class of content is called: <c>guestData</c>.</summary>
    public static string NameOf(ContentClass content) => JsonNamingPolicy.CamelCase.ConvertName(content.ToString());

    private static JsonObject? Describe(JournalReading journal) => !journal.IsPresent ? null : new JsonObject
    {
        ["capacityBytes"] = journal.CapacityBytes,
        ["usedBytes"] = journal.UsedBytes,
        ["pendingTransactions"] = journal.PendingTransactions,
        ["oldestPendingSeconds"] = Math.Round(journal.OldestPending.TotalSeconds, 3),
    };
}
