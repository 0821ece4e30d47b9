using System.Text.Json;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Control;

/// <summary>What a control socket says of a disk's work.</summary>
internal static class DiskStatistics
{
    /// <summary>Counts since it was opened, and latencies of requests.</summary>
    public static JsonObject Describe(string name, PipelineDefinition pipeline, MeterReading m, IEnumerable<LatencyHistogram> latencies)
    {
        var latency = new long[LatencyHistogram.CountsLength];
        foreach (LatencyHistogram each in latencies) each.AddTo(latency);
        var bytes = new JsonObject();
        foreach (ContentClass content in Enum.GetValues<ContentClass>())
            if (m.HostBytesByClass[(int)content] > 0) bytes[JsonNamingPolicy.CamelCase.ConvertName(content.ToString())] = m.HostBytesByClass[(int)content];
        return new JsonObject
        {
            ["name"] = name,
            ["pipeline"] = pipeline.Name,
            ["guestReads"] = m.GuestReads,
            ["guestReadBytes"] = m.GuestReadBytes,
            ["guestWrites"] = m.GuestWrites,
            ["guestWrittenBytes"] = m.GuestWrittenBytes,
            ["guestFlushes"] = m.GuestFlushes,
            ["hostFlushes"] = m.HostFlushes,
            ["barriers"] = m.Barriers,
            ["p50Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.5).TotalMicroseconds, 1),
            ["p99Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.99).TotalMicroseconds, 1),
            ["hostBytesWritten"] = bytes,
        };
    }
}
