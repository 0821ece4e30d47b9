namespace StoragePlugins;

/// <summary>
/// What a written range holds. The layers below never act on it: meters count by it, and the crash kit's recorder tags its log with it.
/// </summary>
public enum ContentClass
{
    /// <summary>Bytes of the guest.</summary>
    GuestData = 0,

    /// <summary>The image's header, superblock or header extensions.</summary>
    Header,

    /// <summary>The root of the block map (qcow2: L1 table).</summary>
    MapRoot,

    /// <summary>The leaves of the block map (qcow2: L2 tables).</summary>
    Map,

    /// <summary>The root of the allocation records (qcow2: refcount table).</summary>
    AllocationRoot,

    /// <summary>The allocation records (qcow2: refcount blocks).</summary>
    Allocation,

    /// <summary>Snapshot tables and the map roots that belong to snapshots.</summary>
    Snapshot,

    /// <summary>Directories, inodes and other structures of a file system.</summary>
    FileSystem,

    /// <summary>A journal's own header or superblock.</summary>
    JournalHeader,

    /// <summary>A journal record.</summary>
    JournalRecord,

    /// <summary>An after-image that a journal copies home after its record is durable.</summary>
    Checkpoint,

    /// <summary>Zeros written ahead of use (preallocation).</summary>
    Preallocation,
}
