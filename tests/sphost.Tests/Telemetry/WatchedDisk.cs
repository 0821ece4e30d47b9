using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Telemetry;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Telemetry;

/// <summary>A disk in memory as those see it who watch; requests are made by hand, with their latency.</summary>
internal sealed class WatchedDisk : IMeteredDisk, IDisposable
{
    public WatchedDisk(string name = "web", MemoryDisk? disk = null) => (Name, Served) = (name, new ServedDisk(name, disk ?? new MemoryDisk(), new StorageMeter()));

    public ServedDisk Served { get; }

    public string Name { get; }

    public string Pipeline { get; set; } = "qcow2-journal";

    public string Export => "nbd";

    public long Size => Served.Length;

    public DiskState State => Served.Poison is null ? DiskState.Serving : DiskState.DurabilityLost;

    public StorageMeter Meter => Served.Meter;

    public int ActiveRequests => Served.ActiveRequests;

    public int? Connections => Served.Connections;

    public void AddLatency(Span<long> counts, RequestKind kind) => Served.Latency.AddTo(counts, kind);

    /// <summary>Pretends that requests took so long.</summary>
    public void Took(RequestKind kind, TimeSpan duration, int times = 1)
    {
        for (int i = 0; i < times; i++) Served.Latency.Record(kind, (long)(duration.TotalSeconds * System.Diagnostics.Stopwatch.Frequency));
    }

    public void Dispose() => Served.Dispose();
}
