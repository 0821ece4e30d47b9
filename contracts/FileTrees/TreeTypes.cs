namespace StoragePlugins;

/// <summary>What a tree promises of a call that returned.</summary>
public enum TreeDurability
{
    /// <summary>As a disk with a volatile cache: durable after <see cref="IFileTree.Flush"/>.</summary>
    OnFlush = 0,

    /// <summary>Every change is atomic in its metadata and durable when the call returns, data included.</summary>
    OnReturn,
}

/// <summary>What became of a call, in the terms of <c>errno(3)</c>: the values are Linux's.</summary>
public enum FileError
{
    /// <summary>Done.</summary>
    None = 0,

    /// <summary>EPERM: not for this kind of node (a further name for a directory).</summary>
    NotPermitted = 1,

    /// <summary>ENOENT: no such name.</summary>
    NotFound = 2,

    /// <summary>EEXIST: the name, or the attribute, is there already.</summary>
    Exists = 17,

    /// <summary>ENOTDIR: the node is no directory.</summary>
    NotDirectory = 20,

    /// <summary>EISDIR: the node is a directory.</summary>
    IsDirectory = 21,

    /// <summary>EINVAL: the arguments make no sense for this node.</summary>
    InvalidArgument = 22,

    /// <summary>EFBIG: beyond the largest file.</summary>
    FileTooLarge = 27,

    /// <summary>ENOSPC: no space, or no node, is left; nothing was changed.</summary>
    NoSpace = 28,

    /// <summary>EROFS: the tree is read-only.</summary>
    ReadOnly = 30,

    /// <summary>EMLINK: a node cannot have more names, or a directory more directories.</summary>
    TooManyLinks = 31,

    /// <summary>ERANGE: the buffer is too small.</summary>
    BufferTooSmall = 34,

    /// <summary>ENAMETOOLONG: more than 255 bytes, or a link's target of more than 4095.</summary>
    NameTooLong = 36,

    /// <summary>ENOTEMPTY: the directory has entries.</summary>
    NotEmpty = 39,

    /// <summary>ENODATA: no such extended attribute.</summary>
    NoAttribute = 61,

    /// <summary>ENOTSUP: this tree cannot do it.</summary>
    NotSupported = 95,

    /// <summary>ESTALE: the node is gone.</summary>
    Stale = 116,

    /// <summary>ENXIO: no data, or no hole, at or behind the offset.</summary>
    NoData = 6,
}

/// <summary>Kinds of nodes; the values are the type bits of <c>st_mode</c>, shifted right by 12 (<c>d_type</c>).</summary>
public enum NodeKind
{
    /// <summary>A named pipe.</summary>
    Pipe = 1,

    /// <summary>A character device.</summary>
    CharacterDevice = 2,

    /// <summary>A directory.</summary>
    Directory = 4,

    /// <summary>A block device.</summary>
    BlockDevice = 6,

    /// <summary>A regular file.</summary>
    File = 8,

    /// <summary>A symbolic link.</summary>
    SymbolicLink = 10,

    /// <summary>A socket.</summary>
    Socket = 12,
}

/// <summary>What is known of a node.</summary>
public record struct NodeAttributes
{
    /// <summary>Its number.</summary>
    public ulong Node { get; set; }

    /// <summary>Tells apart nodes that had the same number one after the other.</summary>
    public uint Generation { get; set; }

    /// <summary>Type and permission bits, as <c>st_mode</c>.</summary>
    public uint Mode { get; set; }

    /// <summary>Names; of a directory 2 and one more for each directory in it.</summary>
    public uint Links { get; set; }

    /// <summary>Owner.</summary>
    public uint UserId { get; set; }

    /// <summary>Group.</summary>
    public uint GroupId { get; set; }

    /// <summary>Major and minor number of a device, as <c>dev_t</c> of the kernel.</summary>
    public uint Device { get; set; }

    /// <summary>Bytes.</summary>
    public long Size { get; set; }

    /// <summary>Space in use for it, in bytes, structures included.</summary>
    public long AllocatedBytes { get; set; }

    /// <summary>Last read; nanoseconds since 1970, may be negative. Kept only as set: reads do not change it.</summary>
    public long AccessTime { get; set; }

    /// <summary>Last change of the content.</summary>
    public long ModificationTime { get; set; }

    /// <summary>Last change of content or attributes.</summary>
    public long ChangeTime { get; set; }

    /// <summary>When it was made.</summary>
    public long BirthTime { get; set; }

    /// <summary>The kind, from <see cref="Mode"/>.</summary>
    public readonly NodeKind Kind => (NodeKind)(Mode >> 12);
}

/// <summary>Attributes to be set; what is <see langword="null"/> stays. The change time is set to now by every change.</summary>
public record struct AttributeChange
{
    /// <summary>Permission bits, 12 of them; the type stays.</summary>
    public uint? Permissions { get; set; }

    /// <summary>Owner.</summary>
    public uint? UserId { get; set; }

    /// <summary>Group.</summary>
    public uint? GroupId { get; set; }

    /// <summary>Size of a regular file.</summary>
    public long? Size { get; set; }

    /// <summary>Nanoseconds since 1970.</summary>
    public long? AccessTime { get; set; }

    /// <summary>Nanoseconds since 1970.</summary>
    public long? ModificationTime { get; set; }
}

/// <summary>A node to be made.</summary>
/// <param name="Mode">Type and permission bits, as <c>st_mode</c>, after any umask.</param>
/// <param name="UserId">Owner.</param>
/// <param name="GroupId">Group.</param>
/// <param name="Device">Of a device: major and minor number.</param>
public readonly record struct NodeRequest(uint Mode, uint UserId, uint GroupId, uint Device = 0);

/// <summary>How <see cref="IFileTree.Rename"/> treats a new name that is taken.</summary>
public enum RenameMode
{
    /// <summary>Replaces what has it, where the kinds agree.</summary>
    Replace = 0,

    /// <summary><see cref="FileError.Exists"/>.</summary>
    Keep = 1,

    /// <summary>Exchanges the two; both must be there.</summary>
    Exchange = 2,
}

/// <summary>What <see cref="IFileTree.Allocate"/> does.</summary>
public enum AllocationMode
{
    /// <summary>Makes sure of the space and lengthens the file to the end of the range.</summary>
    Grow = 0,

    /// <summary>Makes sure of the space; the size stays.</summary>
    KeepSize,

    /// <summary>Gives the space back; reads as zeros; the size stays.</summary>
    PunchHole,

    /// <summary>Makes the range read as zeros; the size stays.</summary>
    ZeroRange,
}

/// <summary>How <see cref="IFileTree.SetExtendedAttribute"/> treats an attribute of this name.</summary>
public enum AttributeMode
{
    /// <summary>Makes or replaces it.</summary>
    Set = 0,

    /// <summary>Makes it; <see cref="FileError.Exists"/>.</summary>
    Create = 1,

    /// <summary>Replaces it; <see cref="FileError.NoAttribute"/>.</summary>
    Replace = 2,
}

/// <summary>Space and nodes of a tree.</summary>
/// <param name="BlockSize">Bytes a block.</param>
/// <param name="Blocks">Blocks for data, used and free.</param>
/// <param name="FreeBlocks">Free blocks.</param>
/// <param name="Nodes">Nodes that there can be.</param>
/// <param name="FreeNodes">Nodes that can still be made.</param>
/// <param name="MaxNameLength">Bytes.</param>
public readonly record struct TreeStatistics(int BlockSize, long Blocks, long FreeBlocks, long Nodes, long FreeNodes, int MaxNameLength);
