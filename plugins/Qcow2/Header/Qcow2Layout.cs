namespace StoragePlugins.Qcow2.Header;

/// <summary>Numbers of the qcow2 specification and the limits that this driver holds images to.</summary>
internal static class Qcow2Layout
{
    public const uint Magic = 0x514649fb;
    public const int HeaderV2Bytes = 72;
    public const int HeaderV3Bytes = 104;

    /// <summary>Header with the compression-type field, padded to a multiple of 8: what this driver writes.</summary>
    public const int HeaderWrittenBytes = 112;

    public const int MinClusterBits = 9;

    /// <summary>QEMU's limit (2 MiB clusters); the specification sets none.</summary>
    public const int MaxClusterBits = 21;

    public const int MaxRefcountOrder = 6;

    /// <summary>The specification allows 1023 bytes for the backing file's name.</summary>
    public const int MaxBackingNameBytes = 1023;

    /// <summary>QEMU's limit for the L1 table. 32 MiB map 2 EiB with 2 MiB clusters, 2 PiB with 64 KiB ones.</summary>
    public const long MaxL1Bytes = 32L << 20;

    /// <summary>QEMU's limit for the refcount table.</summary>
    public const long MaxRefcountTableBytes = 8L << 20;

    /// <summary>QEMU's limits for snapshots.</summary>
    public const int MaxSnapshots = 65536;
    public const long MaxSnapshotTableBytes = 64L << 20;

    /// <summary>Host offsets have 56 bits (bits 9–55 of table entries).</summary>
    public const long MaxHostOffset = (1L << 56) - 512;

    // L1 and L2 entries.
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    public const ulong CopiedFlag = 1UL << 63;
    public const ulong CompressedFlag = 1UL << 62;
    public const ulong ZeroFlag = 1UL;
    public const ulong L1ReservedMask = 0x7f00_0000_0000_01ff;
    public const ulong L2ReservedMask = 0x3f00_0000_0000_01fe;
    public const ulong RefcountTableOffsetMask = 0xffff_ffff_ffff_fe00;

    // Header extensions.
    public const uint ExtensionEnd = 0;
    public const uint ExtensionBackingFormat = 0xe2792aca;
    public const uint ExtensionFeatureNames = 0x6803f857;
    public const uint ExtensionBitmaps = 0x23852875;
    public const uint ExtensionFullDiskEncryption = 0x0537be77;
    public const uint ExtensionExternalDataFile = 0x44415441;


    /// <summary>Ours ("SPJ1"): the in-use mark of a journal.</summary>
    public const uint ExtensionJournal = 0x53504a31;

    /// <summary>What a device writes all of or none of.</summary>
    public const int SectorBytes = 512;

    // Offsets of header fields that are updated alone.
    public const int L1FieldsOffset = 36;
    public const int RefcountTableFieldsOffset = 48;
    public const int SnapshotFieldsOffset = 60;
    public const int SizeFieldOffset = 24;
    public const int BackingFileOffsetField = 8;
    public const int IncompatibleFeaturesOffset = 72;
    public const int AutoclearFeaturesOffset = 88;
}
