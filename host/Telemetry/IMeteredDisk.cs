using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Telemetry;

/// <summary>Whether a disk keeps its promises.</summary>
internal enum DiskState
{
    /// <summary>It does.</summary>
    Serving,

    /// <summary>It is for reading only.</summary>
    ReadOnly,

    /// <summary>A sync failed: writes and flushes fail until it is opened again.</summary>
    DurabilityLost,
}

/// <summary>
/// A disk that is served, as those see it who watch: instruments, dashboard and control socket all read these figures, so that they never disagree.
/// </summary>
/// <remarks>Thread-safe; reading costs the data path nothing. The same object for as long as the disk is served, also when its pipeline is switched.</remarks>
internal interface IMeteredDisk
{
    /// <summary>What <c>sphost disk list</c> calls it.</summary>
    string Name { get; }

    /// <summary>The pipeline that has it open now.</summary>
    string Pipeline { get; }

    /// <summary>How clients reach it: <c>nbd</c> or <c>fuse</c>.</summary>
    string Export { get; }

    /// <summary>Its size in bytes; that of the image where it is a tree.</summary>
    long Size { get; }

    /// <summary>Whether it keeps its promises.</summary>
    DiskState State { get; }

    /// <summary>What was asked and what it cost, snapshots that are exported beside it included.</summary>
    StorageMeter Meter { get; }

    /// <summary>Requests under way.</summary>
    int ActiveRequests { get; }

    /// <summary>Connections of clients; null where the export has none.</summary>
    int? Connections { get; }

    /// <summary>Adds how long the requests of a kind took to a reading of <see cref="LatencyHistogram"/>.</summary>
    void AddLatency(Span<long> counts, RequestKind kind);
}
