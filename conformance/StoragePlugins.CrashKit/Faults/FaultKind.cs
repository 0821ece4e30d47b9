namespace StoragePlugins.CrashKit.Faults;

/// <summary>How a device errs.</summary>
public enum FaultKind
{
    /// <summary>A flush, a fence or an msync fails, once; what it was to make durable may be lost whatever later ones say.</summary>
    FlushFails = 0,

    /// <summary>A barrier fails, once.</summary>
    BarrierFails,

    /// <summary>A write fails with EIO; nothing of it is there.</summary>
    WriteFails,

    /// <summary>A write fails with ENOSPC; nothing of it is there.</summary>
    NoSpace,

    /// <summary>A write fails with EIO when a part from its start is written.</summary>
    ShortWrite,

    /// <summary>A sector cannot be read while the image is opened, recovered and read; later it can.</summary>
    UnreadableSector,

    /// <summary>A line of mapped memory is poisoned.</summary>
    PoisonedLine,

    /// <summary>The sector under write when the power goes reads as garbage afterwards.</summary>
    GarbageSector,

    /// <summary>The sector under write when the power goes cannot be read afterwards, until it is written.</summary>
    LostSector,

    /// <summary>A write lands in another place of the device, and is acknowledged and flushed.</summary>
    MisdirectedWrite,

    /// <summary>A write is acknowledged and flushed, and not done.</summary>
    LostWrite,

    /// <summary>A bit of what is durable flips.</summary>
    BitRot,

    /// <summary>A sector of what is durable turns into garbage.</summary>
    SectorRot,
}

/// <summary>What became of a fault. All but <see cref="Silent"/> are right.</summary>
public enum FaultOutcome
{
    /// <summary>Every promise to the guest holds, and the check finds nothing.</summary>
    Harmless = 0,

    /// <summary>An error was reported: to the guest, by opening, or by the format's check.</summary>
    Detected,

    /// <summary>Only sectors whose own bytes were damaged are wrong: without checksums of data nobody can see it.</summary>
    ConfinedData,

    /// <summary>
    /// The newest record of a journal was lost: what shows is the consistent state before it, and nothing tells such a record from one that a power cut tore.
    /// </summary>
    RolledBack,

    /// <summary>
    /// Wrong, and nobody says so, in a place that the format keeps once and without a checksum: qcow2 has none for header, maps and refcounts. No strategy above
    /// the device can see it; a journal's records and what a checkpoint had under way are not such places. The newest record of all is one: damaged, it looks like one
    /// that a power cut tore, and what was done since it was acknowledged shows through.
    /// </summary>
    Unprotected,

    /// <summary>Wrong, and nobody says so. A failure.</summary>
    Silent,
}

/// <summary>How often a fault ended in an outcome.</summary>
public sealed record FaultCount(FaultKind Kind, FaultOutcome Outcome, long Count);
