using StoragePlugins.Client;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Requests of the kernel's FUSE protocol (linux/fuse.h), those that this server knows.</summary>
internal enum FuseOpcode : uint
{
    Lookup = 1,
    Forget = 2,
    GetAttributes = 3,
    SetAttributes = 4,
    ReadLink = 5,
    SymbolicLink = 6,
    MakeNode = 8,
    MakeDirectory = 9,
    Unlink = 10,
    RemoveDirectory = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    FSync = 20,
    SetExtendedAttribute = 21,
    GetExtendedAttribute = 22,
    ListExtendedAttributes = 23,
    RemoveExtendedAttribute = 24,
    Init = 26,
    ReadDirectory = 28,
    FSyncDirectory = 30,
    Create = 35,
    Interrupt = 36,
    Destroy = 38,
    Ioctl = 39,
    BatchForget = 42,
    Allocate = 43,
    ReadDirectoryPlus = 44,
    Rename2 = 45,
    Seek = 46,
    SyncFs = 50,
    StatX = 52,
}

/// <summary>What both sides can do, agreed on by INIT. The upper half travels in a word of its own.</summary>
[Flags]
internal enum FuseFeatures : ulong
{
    None = 0,

    /// <summary>Several reads of one file at once: read-ahead does not wait for itself.</summary>
    AsyncRead = 1 << 0,

    /// <summary>O_TRUNC comes with OPEN, not as a SETATTR before it.</summary>
    AtomicTruncate = 1 << 3,

    /// <summary>Writes of more than a page.</summary>
    BigWrites = 1 << 5,

    ReadDirectoryPlus = 1 << 13,
    ReadDirectoryPlusAuto = 1 << 14,

    /// <summary>The requests of one direct read or write travel at once.</summary>
    AsyncDirectIo = 1 << 15,

    /// <summary>Written pages wait in the kernel.</summary>
    WritebackCache = 1 << 16,

    /// <summary>Lookups and listings of one directory at once.</summary>
    ParallelDirectoryOperations = 1 << 18,

    MaxPages = 1 << 22,

    /// <summary>Targets of symbolic links are kept by the kernel.</summary>
    CacheSymbolicLinks = 1 << 23,

    /// <summary>OPENDIR may be refused once and for all: there is no state of an open directory here.</summary>
    NoOpenDirectory = 1 << 24,

    /// <summary>The server takes setuid, setgid and capabilities away when a file is written, cut or given away. Without it the kernel asks for
    /// security.capability before every single write.</summary>
    HandleKillPrivilegesV2 = 1 << 28,

    /// <summary>INIT has a second word of features.</summary>
    Extended = 1 << 30,

    /// <summary>Shared mappings of files that are open without the kernel's cache.</summary>
    DirectIoMappings = 1UL << 36,
}

/// <summary>Error numbers that the protocol's replies carry beside those of <see cref="FileError"/>.</summary>
internal static class Errno
{
    public const int Interrupted = 4;
    public const int Io = 5;
    public const int TryAgain = 11;
    public const int Busy = 16;
    public const int NoSuchDevice = 19;
    public const int TooManyFiles = 23;
    public const int NotTerminal = 25;
    public const int NotImplemented = 38;
    public const int Protocol = 71;
    public const int Overflow = 75;
    public const int NotConnected = 107;
    public const int ConnectionAborted = 103;
}

/// <summary>Numbers of the protocol.</summary>
internal static class FuseProtocol
{
    public const uint Major = 7;

    /// <summary>Linux 5.4: max_pages and what else this server builds on.</summary>
    public const uint MinMinor = 31;

    /// <summary>What is spoken here; a newer kernel speaks it too.</summary>
    public const uint Minor = 39;

    /// <summary>The root directory's number on the wire.</summary>
    public const ulong RootNode = 1;

    /// <summary>The largest payload of a READ or WRITE: what 256 pages hold, the kernel's default limit.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    /// <summary>Pages of the largest payload.</summary>
    public const ushort MaxPages = MaxPayloadBytes / 4096;

    /// <summary>Background requests (read-ahead, asynchronous direct I/O, write-back) that the kernel has under way: enough for every thread and a queue.</summary>
    public const ushort MaxBackground = 64;

    /// <summary>From here on the kernel takes the mount for congested; its own default is three quarters too.</summary>
    public const ushort CongestionThreshold = MaxBackground * 3 / 4;

    /// <summary>An extended attribute's value or list, as the kernel limits it.</summary>
    public const int MaxExtendedAttributeBytes = 65536;

    /// <summary>A path of the kernel with its end: no link's target is longer.</summary>
    public const int MaxPathBytes = 4096;

    /// <summary>Names in a directory.</summary>
    public const int MaxNameBytes = 255;

    /// <summary>How long the kernel may keep names and attributes: nobody changes the tree but through it.</summary>
    public const ulong CacheSeconds = 365 * 24 * 3600;

    /// <summary>Linux 6.14: a write past the kernel's cache throws away what a read has put there meanwhile (since 6.13). Before, it could stay, for ever.</summary>
    public const uint MinorOfCoherentDirectIo = 42;

    // OPEN's answer.
    public const uint OpenDirectIo = 1 << 0;
    public const uint OpenKeepCache = 1 << 1;

    // WRITE's flags; OPEN's flag of the same meaning is 1.
    public const uint WriteFromCache = 1 << 0;
    public const uint WriteKillPrivileges = 1 << 2;
    public const uint OpenKillPrivileges = 1 << 0;

    // Flags of open(2).
    public const uint AccessModeMask = 3;
    public const uint OpenTruncate = 0x200;
    public const uint OpenDataSync = 0x1000;
    public const uint OpenDirect = 0x4000;

    // Modes of fallocate(2).
    public const uint AllocateKeepSize = 0x01;
    public const uint AllocatePunchHole = 0x02;
    public const uint AllocateZeroRange = 0x10;

    // lseek(2).
    public const uint SeekData = 3;
    public const uint SeekHole = 4;

    // IOCTL's flags, and the one request that is known (docs/guest-barriers.md).
    public const uint IoctlOnDirectory = 1 << 4;
    public const uint BarrierRequest = DiskFileBarrier.RequestNumber;
    public const uint BarrierPagesWrittenBack = DiskFileBarrier.PagesWrittenBack;

    // Bits of st_mode.
    public const uint TypeMask = 0xF000;
    public const uint PermissionMask = 0xFFF;
    public const uint SetUserId = 0x800;
    public const uint SetGroupId = 0x400;
    public const uint GroupExecute = 0x008;
}

/// <summary>Which attributes a SETATTR changes.</summary>
[Flags]
internal enum SetAttributesMask : uint
{
    Mode = 1 << 0,
    UserId = 1 << 1,
    GroupId = 1 << 2,
    Size = 1 << 3,
    AccessTime = 1 << 4,
    ModificationTime = 1 << 5,
    AccessTimeNow = 1 << 7,
    ModificationTimeNow = 1 << 8,
    KillPrivileges = 1 << 11,
}
