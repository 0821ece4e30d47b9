namespace StoragePlugins.Host.Exports.Nbd;

// Names and values are those of the NBD protocol document (NetworkBlockDevice/nbd, doc/proto.md). All integers are big-endian on the wire.

/// <summary>Magic numbers, sizes and flags that belong to no enumeration.</summary>
internal static class NbdProtocol
{
    /// <summary>"NBDMAGIC".</summary>
    public const ulong ServerMagic = 0x4e42444d41474943;

    /// <summary>"IHAVEOPT".</summary>
    public const ulong OptionMagic = 0x49484156454F5054;

    /// <summary>Opens an option's reply.</summary>
    public const ulong OptionReplyMagic = 0x0003e889045565a9;

    /// <summary>Opens a request.</summary>
    public const uint RequestMagic = 0x25609513;

    /// <summary>Opens a simple reply.</summary>
    public const uint SimpleReplyMagic = 0x67446698;

    /// <summary>Opens a chunk of a structured reply.</summary>
    public const uint ChunkMagic = 0x668e33ef;

    /// <summary>Bytes of an option before its data: magic, option, length.</summary>
    public const int OptionHeaderBytes = 16;

    /// <summary>Bytes of an option's reply before its data.</summary>
    public const int OptionReplyHeaderBytes = 20;

    /// <summary>Bytes of a request: magic, flags, type, cookie, offset, length.</summary>
    public const int RequestBytes = 28;

    /// <summary>Bytes of a simple reply: magic, error, cookie.</summary>
    public const int SimpleReplyBytes = 16;

    /// <summary>Bytes of a chunk before its payload: magic, flags, type, cookie, length.</summary>
    public const int ChunkHeaderBytes = 20;

    /// <summary>Bytes of an OFFSET_DATA chunk before its data.</summary>
    public const int DataChunkHeaderBytes = ChunkHeaderBytes + sizeof(ulong);

    /// <summary>NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES, server and client alike.</summary>
    public const ushort HandshakeFlags = FixedNewstyle | NoZeroes;

    /// <summary>The options phase is the one with replies.</summary>
    public const ushort FixedNewstyle = 1;

    /// <summary>The answer to EXPORT_NAME has no 124 zero bytes.</summary>
    public const ushort NoZeroes = 2;

    /// <summary>Zero bytes that end the answer to EXPORT_NAME for old clients.</summary>
    public const int ExportNamePadding = 124;

    /// <summary>The protocol's limit for strings, among them export names, in bytes.</summary>
    public const int MaxStringBytes = 4096;

    /// <summary>The largest payload that clients may assume to be accepted, and that we accept.</summary>
    public const int MaxPayloadBytes = 32 * 1024 * 1024;

    /// <summary>NBD_REPLY_FLAG_DONE: the last chunk of a reply.</summary>
    public const ushort ChunkDone = 1;
}

/// <summary>Requests of the options phase.</summary>
internal enum NbdOption : uint
{
    ExportName = 1,
    Abort = 2,
    List = 3,
    StartTls = 5,
    Info = 6,
    Go = 7,
    StructuredReply = 8,
    ListMetaContext = 9,
    SetMetaContext = 10,

    /// <summary>Ours, in no document but docs/guest-barriers.md: "SPGB". Asks for <see cref="NbdCommand.Barrier"/> on an export.</summary>
    GuestBarriers = 0x53504742,
}

/// <summary>Replies of the options phase.</summary>
internal enum NbdOptionReply : uint
{
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,
    ErrorUnsupported = 0x80000001,
    ErrorPolicy = 0x80000002,
    ErrorInvalid = 0x80000003,
    ErrorUnknown = 0x80000006,
    ErrorTooBig = 0x80000009,
}

/// <summary>Kinds of information in an INFO reply.</summary>
internal enum NbdInfo : ushort
{
    Export = 0,
    Name = 1,
    Description = 2,
    BlockSize = 3,
}

/// <summary>What an export can do.</summary>
[Flags]
internal enum NbdTransmissionFlags : ushort
{
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    SendDf = 1 << 7,
    CanMultiConn = 1 << 8,
    SendCache = 1 << 10,
    SendFastZero = 1 << 11,
}

/// <summary>Commands of the transmission phase.</summary>
internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    Cache = 5,
    WriteZeroes = 6,
    BlockStatus = 7,

    /// <summary>Ours, "GB": a guest's barrier. Only where <see cref="NbdOption.GuestBarriers"/> was agreed on.</summary>
    Barrier = 0x4742,
}

/// <summary>Flags of a command.</summary>
[Flags]
internal enum NbdCommandFlags : ushort
{
    None = 0,
    Fua = 1 << 0,
    NoHole = 1 << 1,
    Df = 1 << 2,
    ReqOne = 1 << 3,
    FastZero = 1 << 4,
}

/// <summary>Types of chunks of a structured reply.</summary>
internal enum NbdChunk : ushort
{
    None = 0,
    OffsetData = 1,
    BlockStatus = 5,
    Error = 0x8001,
}

/// <summary>Error values on the wire.</summary>
internal enum NbdError : uint
{
    None = 0,
    NotPermitted = 1,
    Io = 5,
    OutOfMemory = 12,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
    NotSupported = 95,
    ShuttingDown = 108,
}

/// <summary>Metadata contexts, as a set; the wire's context id is the value.</summary>
[Flags]
internal enum NbdMetaContexts : uint
{
    None = 0,

    /// <summary>"base:allocation": holes and zeroes.</summary>
    BaseAllocation = 1,

    /// <summary>"qemu:allocation-depth": the layer of the backing chain.</summary>
    AllocationDepth = 2,
}

/// <summary>A request as parsed from the wire.</summary>
/// <param name="Command">Any value: the client's.</param>
/// <param name="Flags">Any value.</param>
/// <param name="Cookie">Returned with the reply.</param>
/// <param name="Offset">Bytes; above <see cref="long.MaxValue"/> is negative here and outside every disk.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct NbdRequest(NbdCommand Command, NbdCommandFlags Flags, ulong Cookie, long Offset, uint Length)
{
    /// <summary>Whether the client wants this request durable before its reply.</summary>
    public bool IsForced => (Flags & NbdCommandFlags.Fua) != 0;
}
