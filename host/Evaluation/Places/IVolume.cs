using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A contender's disk or file system, set up in a place. Disposing without <see cref="Close"/> abandons it, and leaves nothing behind either.</summary>
internal interface IVolume : IDisposable
{
    /// <summary>What has been asked of it and what that cost the host since it was set up; <see langword="null"/> where nobody counts.</summary>
    VolumeCounts? Counts { get; }

    /// <summary>Waits until nothing that was written waits in memory, so that a run does not pay for the one before. Outside of what is timed.</summary>
    void Settle();

    /// <summary>Ends it cleanly.</summary>
    /// <exception cref="DiagnosticException">It does not end cleanly.</exception>
    void Close();
}

/// <summary>A volume that is a mounted file system.</summary>
internal interface IFolderVolume : IVolume
{
    /// <summary>Its root.</summary>
    string Folder { get; }
}

/// <summary>A volume that is a block device over NBD.</summary>
internal interface IBlockVolume : IVolume
{
    /// <summary>Bytes.</summary>
    long Length { get; }

    /// <summary>Connects a client, who writes at most <see cref="Workload.BlockBytes"/> at once.</summary>
    NbdClient Connect();

    /// <summary>Told what a client asked for, since it is the client who knows.</summary>
    void CountGuest(long flushes, long bytes);
}

/// <summary>What was asked of a volume, and what that cost.</summary>
/// <param name="GuestFlushes">Flushes that reached the disk.</param>
/// <param name="GuestWrittenBytes">Bytes that were written to the disk.</param>
/// <param name="Host">What reached the host's storage; null where nobody counts that side.</param>
internal readonly record struct VolumeCounts(long GuestFlushes, long GuestWrittenBytes, StorageCounts? Host)
{
    /// <summary>What came after an earlier reading.</summary>
    public static VolumeCounts operator -(VolumeCounts later, VolumeCounts earlier)
        => new(later.GuestFlushes - earlier.GuestFlushes, later.GuestWrittenBytes - earlier.GuestWrittenBytes, later.Host - earlier.Host);

    /// <summary>Together; the host's side only where both have it.</summary>
    public static VolumeCounts operator +(VolumeCounts one, VolumeCounts other)
        => new(one.GuestFlushes + other.GuestFlushes, one.GuestWrittenBytes + other.GuestWrittenBytes, one.Host + other.Host);
}
