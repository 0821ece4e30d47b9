namespace StoragePlugins.CrashKit.Models;

/// <summary>What a power cut may leave.</summary>
public enum PersistenceModel
{
    /// <summary>Disks with a volatile cache and a flush; barriers are not kept.</summary>
    Disk = 0,

    /// <summary>Disks that keep barriers too.</summary>
    Barrier,

    /// <summary>Mapped persistent memory beside such disks.</summary>
    Pm,
}
