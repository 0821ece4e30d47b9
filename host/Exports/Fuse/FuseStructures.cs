using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Fuse;

// The structures of linux/fuse.h: the machine's own byte order, fields where C puts them. Fields that nobody reads here are padding.

/// <summary>Begins every request.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal struct FuseRequestHeader
{
    [FieldOffset(0)] public uint Length;
    [FieldOffset(4)] public FuseOpcode Opcode;
    [FieldOffset(8)] public ulong Unique;
    [FieldOffset(16)] public ulong Node;
    [FieldOffset(24)] public uint UserId;
    [FieldOffset(28)] public uint GroupId;
    [FieldOffset(32)] public uint ProcessId;
}

/// <summary>Begins every reply; the error is negative.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FuseReplyHeader
{
    public uint Length;
    public int Error;
    public ulong Unique;
}

[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct InitRequest
{
    [FieldOffset(0)] public uint Major;
    [FieldOffset(4)] public uint Minor;
    [FieldOffset(8)] public uint MaxReadAhead;
    [FieldOffset(12)] public uint Features;
    [FieldOffset(16)] public uint MoreFeatures;

    /// <summary>Bytes of it that every kernel of protocol 7.31 sends; the second word of features came later.</summary>
    public const int MinBytes = 16;
}

[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct InitReply
{
    [FieldOffset(0)] public uint Major;
    [FieldOffset(4)] public uint Minor;
    [FieldOffset(8)] public uint MaxReadAhead;
    [FieldOffset(12)] public uint Features;
    [FieldOffset(16)] public ushort MaxBackground;
    [FieldOffset(18)] public ushort CongestionThreshold;
    [FieldOffset(20)] public uint MaxWrite;
    [FieldOffset(24)] public uint TimeGranularity;
    [FieldOffset(28)] public ushort MaxPages;
    [FieldOffset(32)] public uint MoreFeatures;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NodeAttributesWire
{
    public ulong Inode;
    public ulong Size;
    public ulong Blocks;
    public long AccessSeconds;
    public long ModificationSeconds;
    public long ChangeSeconds;
    public uint AccessNanoseconds;
    public uint ModificationNanoseconds;
    public uint ChangeNanoseconds;
    public uint Mode;
    public uint Links;
    public uint UserId;
    public uint GroupId;
    public uint Device;
    public uint BlockSize;
    public uint Flags;
}

/// <summary>A name that was found or made. A node of 0 is a name that is not there, to be remembered.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EntryReply
{
    public ulong Node;
    public ulong Generation;
    public ulong EntryValidSeconds;
    public ulong AttributesValidSeconds;
    public uint EntryValidNanoseconds;
    public uint AttributesValidNanoseconds;
    public NodeAttributesWire Attributes;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AttributesReply
{
    public ulong ValidSeconds;
    public uint ValidNanoseconds;
    public uint Padding;
    public NodeAttributesWire Attributes;
}

[StructLayout(LayoutKind.Explicit, Size = 88)]
internal struct SetAttributesRequest
{
    [FieldOffset(0)] public SetAttributesMask Valid;
    [FieldOffset(8)] public ulong Handle;
    [FieldOffset(16)] public ulong Size;
    [FieldOffset(32)] public long AccessSeconds;
    [FieldOffset(40)] public long ModificationSeconds;
    [FieldOffset(56)] public uint AccessNanoseconds;
    [FieldOffset(60)] public uint ModificationNanoseconds;
    [FieldOffset(68)] public uint Mode;
    [FieldOffset(76)] public uint UserId;
    [FieldOffset(80)] public uint GroupId;
}

/// <summary>MKNOD; MKDIR has the first two words only.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MakeNodeRequest
{
    public uint Mode;
    public uint Device;
    public uint Mask;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct MakeDirectoryRequest
{
    public uint Mode;
    public uint Mask;
}

[StructLayout(LayoutKind.Sequential)]
internal struct CreateRequest16
{
    public uint Flags;
    public uint Mode;
    public uint Mask;
    public uint OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct Rename2Request
{
    public ulong NewParent;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct OpenRequest8
{
    public uint Flags;
    public uint OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct OpenReply
{
    public ulong Handle;
    public uint Flags;
    public int BackingId;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct ReleaseRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public uint Flags;
}

/// <summary>READ, READDIR and READDIRPLUS.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal struct ReadRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public ulong Offset;
    [FieldOffset(16)] public uint Size;
    [FieldOffset(32)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = 40)]
internal struct WriteRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public ulong Offset;
    [FieldOffset(16)] public uint Size;
    [FieldOffset(20)] public uint WriteFlags;
    [FieldOffset(32)] public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct WriteReply
{
    public uint Size;
    public uint Padding;
}

[StructLayout(LayoutKind.Explicit, Size = 80)]
internal struct StatFsReply
{
    [FieldOffset(0)] public ulong Blocks;
    [FieldOffset(8)] public ulong FreeBlocks;
    [FieldOffset(16)] public ulong AvailableBlocks;
    [FieldOffset(24)] public ulong Nodes;
    [FieldOffset(32)] public ulong FreeNodes;
    [FieldOffset(40)] public uint BlockSize;
    [FieldOffset(44)] public uint MaxNameLength;
    [FieldOffset(48)] public uint FragmentSize;
}

/// <summary>SETXATTR as sent where its longer form was not agreed on.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SetExtendedAttributeRequest
{
    public uint Size;
    public uint Flags;
}

/// <summary>GETXATTR and LISTXATTR: the room that there is; 0 asks for the length.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GetExtendedAttributeRequest
{
    public uint Size;
    public uint Padding;
}

/// <summary>The length that was asked for.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExtendedAttributeLengthReply
{
    public uint Size;
    public uint Padding;
}

[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct AllocateRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public ulong Offset;
    [FieldOffset(16)] public ulong Length;
    [FieldOffset(24)] public uint Mode;
}

/// <summary>Before the data that the request's number says it carries.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct IoctlRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public uint Flags;
    [FieldOffset(12)] public uint Command;
    [FieldOffset(16)] public ulong Argument;
    [FieldOffset(24)] public uint InSize;
    [FieldOffset(28)] public uint OutSize;
}

[StructLayout(LayoutKind.Sequential)]
internal struct IoctlReply
{
    public int Result;
    public uint Flags;
    public uint InVectors;
    public uint OutVectors;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct SeekRequest
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public ulong Offset;
    [FieldOffset(16)] public uint Whence;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BatchForgetRequest
{
    public uint Count;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ForgetOne
{
    public ulong Node;
    public ulong Count;
}

/// <summary>Before each name of a listing; padded to 8 bytes together with it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DirectoryEntry
{
    public ulong Inode;
    public ulong Offset;
    public uint NameLength;
    public uint Type;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct StatXRequest
{
    [FieldOffset(16)] public uint Flags;
    [FieldOffset(20)] public uint Mask;
}

[StructLayout(LayoutKind.Sequential)]
internal struct StatXTime
{
    public long Seconds;
    public uint Nanoseconds;
    public uint Padding;
}

/// <summary>Attributes with the time of birth.</summary>
[StructLayout(LayoutKind.Explicit, Size = 288)]
internal struct StatXReply
{
    [FieldOffset(0)] public ulong ValidSeconds;
    [FieldOffset(32)] public uint Mask;
    [FieldOffset(36)] public uint BlockSize;
    [FieldOffset(48)] public uint Links;
    [FieldOffset(52)] public uint UserId;
    [FieldOffset(56)] public uint GroupId;
    [FieldOffset(60)] public ushort Mode;
    [FieldOffset(64)] public ulong Inode;
    [FieldOffset(72)] public ulong Size;
    [FieldOffset(80)] public ulong Blocks;
    [FieldOffset(96)] public StatXTime AccessTime;
    [FieldOffset(112)] public StatXTime BirthTime;
    [FieldOffset(128)] public StatXTime ChangeTime;
    [FieldOffset(144)] public StatXTime ModificationTime;
    [FieldOffset(160)] public uint DeviceMajor;
    [FieldOffset(164)] public uint DeviceMinor;
}
