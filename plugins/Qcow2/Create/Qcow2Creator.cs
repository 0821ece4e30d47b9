using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Create;

/// <summary>
/// Writes new, empty images: header, refcount table, refcount blocks that cover all of it, and a zeroed L1 table, in this order in the file.
/// </summary>
internal static class Qcow2Creator
{
    private const int SectorSize = 512;

    /// <summary>Smaller first clusters get no feature names: the table's 392 bytes would crowd out the backing file's name. As QEMU does.</summary>
    private const int SmallestClusterWithFeatureNames = 4096;

    private static readonly FeatureName[] s_featureNames =
    [
        new(FeatureKind.Incompatible, 0, "dirty bit"),
        new(FeatureKind.Incompatible, 1, "corrupt bit"),
        new(FeatureKind.Incompatible, 2, "external data file"),
        new(FeatureKind.Incompatible, 3, "compression type"),
        new(FeatureKind.Incompatible, 4, "extended L2 entries"),
        new(FeatureKind.Compatible, 0, "lazy refcounts"),
        new(FeatureKind.Autoclear, 0, "bitmaps"),
        new(FeatureKind.Autoclear, 1, "raw external data"),
    ];

    /// <summary>Empties the medium and writes an image of <paramref name="size"/> guest bytes, rounded up to a multiple of 512. The header
    /// comes last: what fails half-way is no image. Not durable on return.</summary>
    /// <returns>The header as written.</returns>
    /// <exception cref="DiagnosticException">SP3010 a value out of range, SP3011 values that do not go together, SP3012 the size, SP3013 the
    /// backing file. Nothing has been written then.</exception>
    public static Qcow2Header Create(IStorageMedium medium, long size, Qcow2CreateSettings settings)
    {
        ValidateValues(medium.Name, settings);
        ValidateVersion(medium.Name, settings);
        ValidateBacking(medium.Name, settings);
        long l1Entries = L1EntriesFor(medium.Name, size, settings);
        Qcow2Header header = Lay(size, (int)l1Entries, settings, out int refcountBlocks, out long clusters);
        byte[] headerCluster = header.Serialize();

        medium.SetLength(0);
        medium.SetLength(clusters * header.ClusterSize);
        WriteRefcounts(medium, header, refcountBlocks, clusters);
        medium.Write(0, headerCluster, ContentClass.Header);
        return header;
    }

    private static void ValidateValues(string name, Qcow2CreateSettings s)
    {
        const int smallest = 1 << Qcow2Layout.MinClusterBits, largest = 1 << Qcow2Layout.MaxClusterBits;
        Require(s.ClusterSize is >= smallest and <= largest && BitOperations.IsPow2(s.ClusterSize), "SP3010", "the cluster size is out of range", name,
            $"a power of two from {smallest} to {largest}", s.ClusterSize.ToString());
        Require(s.RefcountBits is >= 1 and <= 64 && BitOperations.IsPow2(s.RefcountBits), "SP3010", "the refcount width is out of range", name,
            "1, 2, 4, 8, 16, 32 or 64 bits", s.RefcountBits.ToString());
        Require(s.Version is 2 or 3, "SP3010", "the qcow2 version is out of range", name, "2 or 3", s.Version.ToString());
        Require(Enum.IsDefined(s.Compression), "SP3010", "the compression type is out of range", name, "zlib or zstd", ((int)s.Compression).ToString());
    }

    private static void ValidateVersion(string name, Qcow2CreateSettings s)
    {
        if (s.Version != 2) return;
        const string fix = "use version 3";
        Require(s.RefcountBits == 16, "SP3011", "version 2 of qcow2 knows one refcount width", name, "16 bits", s.RefcountBits.ToString(), fix);
        Require(!s.LazyRefcounts, "SP3011", "version 2 of qcow2 has no lazy refcounts", name, "off", "on", fix);
        Require(s.Compression == CompressionKind.Deflate, "SP3011", "version 2 of qcow2 knows one compression type", name, "zlib", "zstd", fix);
    }

    private static void ValidateBacking(string name, Qcow2CreateSettings s)
    {
        if (s.BackingFile is null)
        {
            Require(s.BackingFormat is null, "SP3013", "a backing format without a backing file", name, "both or none", s.BackingFormat, "name the backing file");
            return;
        }

        int bytes = Encoding.UTF8.GetByteCount(s.BackingFile);
        Require(bytes is > 0 and <= Qcow2Layout.MaxBackingNameBytes, "SP3013", "the backing file's name has a wrong length", name,
            $"1 to {Qcow2Layout.MaxBackingNameBytes} bytes", bytes.ToString());
        // A guest can write any format's magic into a raw backing file: probing it would hand the guest the choice.
        Require(!string.IsNullOrEmpty(s.BackingFormat), "SP3013", "a backing file without its format", name, "a format such as qcow2 or raw", "none", "name the format");
        int longest = s.ClusterSize - (s.Version == 2 ? Qcow2Layout.HeaderV2Bytes : Qcow2Layout.HeaderWrittenBytes) - 16
            - ((Encoding.UTF8.GetByteCount(s.BackingFormat!) + 7) & ~7) - (HasFeatureNames(s) ? 8 + (s_featureNames.Length * 48) : 0);
        Require(bytes <= longest, "SP3013", "the backing file's name does not fit into the first cluster", name, $"at most {longest} bytes", bytes.ToString(), "use larger clusters");
    }

    private static long L1EntriesFor(string name, long size, Qcow2CreateSettings s)
    {
        long perTable = (long)s.ClusterSize * (s.ClusterSize / sizeof(ulong));
        long largest = perTable * (Qcow2Layout.MaxL1Bytes / sizeof(ulong));
        Require(size >= 0, "SP3012", "the image's size is negative", name, $"0 to {largest}", size.ToString());
        Require(size <= largest, "SP3012", $"the image is too large for clusters of {s.ClusterSize} bytes", name, $"at most {largest}", size.ToString(),
            s.ClusterSize < 1 << Qcow2Layout.MaxClusterBits ? "use larger clusters" : "use a smaller size");
        return (size / perTable) + (size % perTable == 0 ? 0 : 1);
    }

    private static Qcow2Header Lay(long size, int l1Entries, Qcow2CreateSettings s, out int refcountBlocks, out long clusters)
    {
        long l1Clusters = Clusters(l1Entries * (long)sizeof(ulong), s.ClusterSize);
        long perBlock = s.ClusterSize * 8L / s.RefcountBits;
        long blocks = 1, tableClusters = 1;
        // Blocks cover themselves and the table, so their number is a fixed point; it only rises and is reached in a few steps.
        while (true)
        {
            clusters = 1 + tableClusters + blocks + l1Clusters;
            long neededBlocks = Clusters(clusters, perBlock);
            long neededTable = Clusters(neededBlocks * sizeof(ulong), s.ClusterSize);
            if (neededBlocks == blocks && neededTable == tableClusters) break;
            (blocks, tableClusters) = (neededBlocks, neededTable);
        }

        refcountBlocks = (int)blocks;
        bool v3 = s.Version == 3;
        return new Qcow2Header
        {
            Version = s.Version,
            ClusterBits = BitOperations.Log2((uint)s.ClusterSize),
            RefcountOrder = BitOperations.Log2((uint)s.RefcountBits),
            HeaderLength = v3 ? Qcow2Layout.HeaderWrittenBytes : Qcow2Layout.HeaderV2Bytes,
            Compression = s.Compression,
            IncompatibleFeatures = s.Compression == CompressionKind.Deflate ? 0 : Qcow2Features.CompressionType,
            CompatibleFeatures = s.LazyRefcounts ? Qcow2Features.LazyRefcounts : 0,
            BackingFile = s.BackingFile,
            BackingFormat = s.BackingFormat,
            FeatureNames = HasFeatureNames(s) ? s_featureNames : [],
            Size = (size + SectorSize - 1) & ~(SectorSize - 1L),
            L1TableOffset = l1Entries == 0 ? 0 : (1 + tableClusters + blocks) * s.ClusterSize,
            L1Size = l1Entries,
            RefcountTableOffset = s.ClusterSize,
            RefcountTableClusters = (int)tableClusters,
        };
    }

    private static void WriteRefcounts(IStorageMedium medium, Qcow2Header header, int blocks, long clusters)
    {
        byte[] block = new byte[header.ClusterSize];
        byte[] table = new byte[header.RefcountTableClusters * header.ClusterSize];
        long firstBlock = header.RefcountTableOffset + table.Length;
        for (int i = 0; i < blocks; i++)
        {
            long offset = firstBlock + ((long)i * header.ClusterSize);
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(i * sizeof(ulong)), offset);
            long covered = Math.Min(header.RefcountBlockEntries, clusters - ((long)i * header.RefcountBlockEntries));
            FillWithOnes(block, (int)covered, header.RefcountBits);
            medium.Write(offset, block, ContentClass.Allocation);
        }

        medium.Write(header.RefcountTableOffset, table, ContentClass.AllocationRoot);
    }

    /// <summary>Sets the first <paramref name="count"/> refcounts of a block to 1 and the others to 0.</summary>
    private static void FillWithOnes(Span<byte> block, int count, int width)
    {
        block.Clear();
        for (int i = 0; i < count; i++)
        {
            // Widths of 8 and more are big-endian; narrower ones fill each byte from its lowest bits.
            if (width >= 8) block[((i + 1) * (width / 8)) - 1] = 1;
            else block[i * width / 8] |= (byte)(1 << (i * width % 8));
        }
    }

    private static bool HasFeatureNames(Qcow2CreateSettings s) => s.Version == 3 && s.ClusterSize >= SmallestClusterWithFeatureNames;

    private static long Clusters(long items, long perCluster) => (items + perCluster - 1) / perCluster;

    private static void Require(bool holds, string code, string what, string where, string expected, string? found, string? fix = null)
    {
        if (!holds) throw new DiagnosticException(code, what, where, expected, found, fix);
    }
}
