namespace StoragePlugins.Client;

/// <summary>What an export can do, as the server said; the values are the protocol's transmission flags, and <see cref="Barriers"/> beyond them.</summary>
[Flags]
public enum NbdFeatures
{
    /// <summary>Nothing but reading and writing.</summary>
    None = 0,

    /// <summary>The server said what it can do at all.</summary>
    HasFlags = 1 << 0,

    /// <summary>Nothing can be changed.</summary>
    ReadOnly = 1 << 1,

    /// <summary><see cref="NbdDisk.Flush"/>.</summary>
    Flush = 1 << 2,

    /// <summary>Single requests that are durable when they return.</summary>
    ForceUnitAccess = 1 << 3,

    /// <summary>The device is of the kind that seeks.</summary>
    Rotational = 1 << 4,

    /// <summary><see cref="NbdDisk.Trim"/>.</summary>
    Trim = 1 << 5,

    /// <summary><see cref="NbdDisk.WriteZeroes"/>.</summary>
    WriteZeroes = 1 << 6,

    /// <summary>A flush or barrier on one connection covers what was written on the others.</summary>
    MultiConnection = 1 << 8,

    /// <summary>The server reads ahead when asked to.</summary>
    Cache = 1 << 10,

    /// <summary>The server can refuse to zero what it can only zero slowly.</summary>
    FastZero = 1 << 11,

    /// <summary><see cref="NbdDisk.Barrier"/>: order without durability. Not a flag of the protocol but agreed on by StoragePlugins' private option.</summary>
    Barriers = 1 << 16,
}
