namespace StoragePlugins.Client;

// Numbers of the protocol (NetworkBlockDevice/nbd, doc/proto.md) as far as they are used here; big-endian on the wire. The last of each group is
// StoragePlugins' own: docs/guest-barriers.md.

internal static class NbdWire
{
    public const ulong ServerMagic = 0x4e42444d41474943; // "NBDMAGIC"
    public const ulong OptionMagic = 0x49484156454F5054; // "IHAVEOPT"
    public const ulong OptionReplyMagic = 0x0003e889045565a9;
    public const uint RequestMagic = 0x25609513;
    public const uint SimpleReplyMagic = 0x67446698;

    public const int GreetingBytes = 18;
    public const int OptionHeaderBytes = 16;
    public const int OptionReplyHeaderBytes = 20;
    public const int RequestBytes = 28;
    public const int SimpleReplyBytes = 16;

    public const ushort FixedNewstyle = 1;
    public const ushort NoZeroes = 2;
    public const int MaxStringBytes = 4096;
    public const ushort ForceUnitAccess = 1;
    public const ushort NoHole = 2;
}

internal enum NbdOption : uint
{
    Abort = 2,
    Go = 7,
    GuestBarriers = 0x53504742, // "SPGB"
}

internal enum NbdOptionReply : uint
{
    Ack = 1,
    Info = 3,
    ErrorUnsupported = 0x80000001,
    ErrorPolicy = 0x80000002,
    ErrorInvalid = 0x80000003,
    ErrorPlatform = 0x80000004,
    ErrorTlsRequired = 0x80000005,
    ErrorUnknown = 0x80000006,
    ErrorShutdown = 0x80000007,
    ErrorBlockSizeRequired = 0x80000008,
    ErrorTooBig = 0x80000009,
}

internal enum NbdInfo : ushort
{
    Export = 0,
    BlockSize = 3,
}

internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    WriteZeroes = 6,
    Barrier = 0x4742, // "GB"
}
