namespace StoragePlugins.PmFileSystem.Layout;

/// <summary>Numbers of the format, version 1 (README.md of this folder).</summary>
internal static class PmLayout
{
    public const uint Version = 1;
    public const int BlockBytes = 4096;
    public const int BlockShift = 12;
    public const int LineBytes = 64;

    public const long LeastRegionBytes = 1L << 20;
    public const long MostRegionBytes = 1L << 44;

    /// <summary>What the superblock's checksum covers.</summary>
    public const int SuperblockBytes = 256;
    public const long FloorOffset = 1024;
    public const long StateOffset = 1088;

    public const int InodeBytes = 256;
    public const uint RootInode = 1;

    /// <summary>Blocks that an inode names itself.</summary>
    public const int DirectBlocks = 16;

    /// <summary>Block numbers in a block.</summary>
    public const int FanOut = BlockBytes / sizeof(long);
    public const int FanOutShift = 9;
    public const int MostHeight = 4;

    /// <summary>A file ends below the largest region: sparse files need no more blocks than that to be addressed.</summary>
    public const long MostFileBytes = MostRegionBytes;

    /// <summary>Bytes of a symbolic link's target that the inode holds itself.</summary>
    public const int InlineTargetBytes = DirectBlocks * sizeof(long);
    public const int MostTargetBytes = BlockBytes - 1;
    public const int MostNameBytes = 255;

    /// <summary>Names that an inode can have.</summary>
    public const uint MostLinks = 1 << 30;

    public const uint LeafMagic = 0x6c645053;
    public const int LeafHeaderBytes = 16;
    public const int EntryHeaderBytes = 12;
    public const int LeastEntryBytes = 16;
    public const int MostDepth = 18;

    public const uint AttributesMagic = 0x61785053;
    public const int AttributesHeaderBytes = 16;

    public const int RecordHeaderBytes = 16;

    /// <summary>The longest record: two of them fit the smallest lane.</summary>
    public const int MostRecordBytes = 8192;
    public const int LeastLaneBytes = 16384;

    /// <summary>Sequence numbers have 52 bits: 14 years of ten million a second.</summary>
    public const ulong MostSequence = (1UL << 52) - 1;

    public static ReadOnlySpan<byte> Magic => "SPpmfs\r\n"u8;

    /// <summary>Where a block begins.</summary>
    public static long PlaceOf(ulong block) => (long)block << BlockShift;

    /// <summary>Where a block number stands in a block of them.</summary>
    public static long PlaceOf(ulong block, int slot) => PlaceOf(block) + ((long)slot * sizeof(ulong));

    public static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;
}
