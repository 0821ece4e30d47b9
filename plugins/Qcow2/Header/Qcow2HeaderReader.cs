using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Qcow2.Header;

/// <summary>Parses and judges a header: one field after another, each with its own sentence when it is wrong.</summary>
internal sealed class Qcow2HeaderReader(IStorageMedium medium, bool forCheck, bool beforeRecovery = false)
{
    private string? _backingFormat;
    private readonly List<FeatureName> _featureNames = [];
    private readonly List<HeaderExtension> _others = [];
    private readonly List<(uint Type, int Offset)> _places = [];
    private ReadOnlyMemory<byte>? _journal;

    public Qcow2Header Read()
    {
        byte[] first = new byte[Qcow2Layout.HeaderWrittenBytes];
        int got = medium.Read(0, first);
        if (got < Qcow2Layout.HeaderV2Bytes || U32(first, 0) != Qcow2Layout.Magic)
            throw new DiagnosticException("SP3001", "this is not a qcow2 image", medium.Name, "the magic 51 46 49 fb in a header of at least 72 bytes",
                got < 4 ? $"a file of {medium.Length} bytes" : Convert.ToHexString(first, 0, 4), "name the format it has, or check the path");
        uint version = U32(first, 4);
        if (version is not (2 or 3))
            throw new DiagnosticException("SP3002", "this version of qcow2 is not supported", medium.Name, "2 or 3", version.ToString(), "convert it with qemu-img convert -O qcow2");
        Require(version == 2 || got >= Qcow2Layout.HeaderV3Bytes, "header", "at least 104 bytes", $"a file of {medium.Length} bytes");

        int clusterBits = Range("cluster_bits", U32(first, 20), Qcow2Layout.MinClusterBits, Qcow2Layout.MaxClusterBits);
        int headerLength = version == 2 ? Qcow2Layout.HeaderV2Bytes : HeaderLengthOf(first, 1 << clusterBits);
        byte[] cluster = new byte[Math.Min(1L << clusterBits, medium.Length)];
        int clusterBytes = medium.Read(0, cluster);
        Require(headerLength <= clusterBytes, "header_length", $"at most {clusterBytes}", headerLength.ToString());
        (string? backing, int extensionsEnd) = BackingFileOf(cluster.AsSpan(0, clusterBytes));
        int endMarker = ReadExtensions(cluster.AsSpan(0, Math.Min(extensionsEnd, clusterBytes)), headerLength);

        ulong incompatible = version == 2 ? 0 : U64(first, 72);
        RefuseUnsupported(incompatible);
        int encryption = Range("crypt_method", U32(first, 32), 0, 2);
        if (encryption != 0)
            throw new DiagnosticException("SP3003", $"the image is encrypted ({(encryption == 1 ? "AES" : "LUKS")}), which is not supported", medium.Name,
                fix: "decrypt it with qemu-img convert");

        // A replay that was cut short leaves fields of several transactions, each possible and not fitting together; a checkpoint may have brought the
        // header home before a table that it names, at the file's end. The next replay mends both.
        bool mayBeMixed = beforeRecovery && (incompatible & Qcow2Features.JournalInUse) != 0;
        (long refcountTableOffset, int refcountTableClusters) = mayBeMixed ? (0, 0) : RefcountTableOf(first, clusterBits);
        var header = new Qcow2Header
        {
            Version = (int)version,
            ClusterBits = clusterBits,
            RefcountOrder = version == 2 ? 4 : Range("refcount_order", U32(first, 96), 0, Qcow2Layout.MaxRefcountOrder),
            HeaderLength = headerLength,
            Compression = CompressionOf(cluster, headerLength, incompatible),
            IncompatibleFeatures = incompatible,
            CompatibleFeatures = version == 2 ? 0 : U64(first, 80),
            AutoclearFeatures = version == 2 ? 0 : U64(first, 88),
            BackingFile = backing,
            BackingFormat = _backingFormat,
            FeatureNames = _featureNames,
            OtherExtensions = _others,
            Places = new ExtensionPlaces(_places, endMarker, backing is null ? 0 : extensionsEnd),
            JournalExtension = _journal,
            Size = Range64("size", U64(first, 24), 0, long.MaxValue >> 1),
            L1Size = Range("l1_size", U32(first, 36), 0, (int)(Qcow2Layout.MaxL1Bytes / 8)),
            L1TableOffset = Range64("l1_table_offset", U64(first, 40), 0, Qcow2Layout.MaxHostOffset),
            RefcountTableOffset = refcountTableOffset,
            RefcountTableClusters = refcountTableClusters,
            SnapshotCount = Range("nb_snapshots", U32(first, 60), 0, Qcow2Layout.MaxSnapshots),
            SnapshotsOffset = Range64("snapshots_offset", U64(first, 64), 0, Qcow2Layout.MaxHostOffset),
        };
        if (!mayBeMixed) ValidateTables(header);
        return header;
    }

    private int HeaderLengthOf(byte[] first, int clusterSize)
    {
        int length = Range("header_length", U32(first, 100), Qcow2Layout.HeaderV3Bytes, clusterSize);
        Require(length % 8 == 0, "header_length", "a multiple of 8", length.ToString());
        return length;
    }

    private (string? Name, int ExtensionsEnd) BackingFileOf(ReadOnlySpan<byte> cluster)
    {
        ulong offset = U64(cluster, 8);
        uint length = U32(cluster, 16);
        if (offset == 0) return (null, cluster.Length);
        Require(length is > 0 and <= Qcow2Layout.MaxBackingNameBytes, "backing_file_size", $"1 to {Qcow2Layout.MaxBackingNameBytes}", length.ToString());
        Require(offset <= (ulong)cluster.Length - length && (ulong)cluster.Length >= length, "backing_file_offset", "a place inside the first cluster", offset.ToString());
        return (Encoding.UTF8.GetString(cluster.Slice((int)offset, (int)length)), (int)offset);
    }

    private int ReadExtensions(ReadOnlySpan<byte> cluster, int start)
    {
        int at = start;
        while (at + 8 <= cluster.Length)
        {
            uint type = U32(cluster, at);
            uint length = U32(cluster, at + 4);
            if (type == Qcow2Layout.ExtensionEnd) return at;
            Require(length <= cluster.Length - at - 8, $"header extension 0x{type:x8} at {at}", $"at most {cluster.Length - at - 8} bytes", length.ToString());
            ReadExtension(type, cluster.Slice(at + 8, (int)length));
            _places.Add((type, at));
            at += 8 + (((int)length + 7) & ~7);
        }

        return at;
    }

    private void ReadExtension(uint type, ReadOnlySpan<byte> data)
    {
        switch (type)
        {
            case Qcow2Layout.ExtensionBackingFormat:
                _backingFormat = Encoding.UTF8.GetString(data);
                break;
            case Qcow2Layout.ExtensionFeatureNames:
                // Of two tables the later one holds, as in QEMU.
                _featureNames.Clear();
                for (int i = 0; i + 48 <= data.Length; i += 48)
                {
                    string name = Encoding.UTF8.GetString(data.Slice(i + 2, 46)).TrimEnd('\0');
                    _featureNames.Add(new FeatureName((FeatureKind)data[i], data[i + 1], name));
                }

                break;
            case Qcow2Layout.ExtensionJournal:
                _journal = data.ToArray();
                break;
            default:
                _others.Add(new HeaderExtension(type, data.ToArray()));
                break;
        }
    }

    private void RefuseUnsupported(ulong incompatible)
    {
        ulong unsupported = incompatible & ~Qcow2Features.SupportedIncompatible;
        if (unsupported != 0)
            throw new DiagnosticException("SP3003", $"the image needs features that are not supported: {Qcow2Features.Describe(unsupported, _featureNames)}",
                medium.Name, fix: "use the program that made it, or convert it with qemu-img convert");
    }

    private CompressionKind CompressionOf(byte[] cluster, int headerLength, ulong incompatible)
    {
        byte kind = headerLength > 104 ? cluster[104] : (byte)0;
        bool flagged = (incompatible & Qcow2Features.CompressionType) != 0;
        Require(kind <= 1, "compression_type", "0 (deflate) or 1 (zstd)", kind.ToString());
        Require(flagged == (kind != 0), "compression type feature bit", kind == 0 ? "clear with deflate" : "set with zstd", flagged ? "set" : "clear");
        return (CompressionKind)kind;
    }

    private void ValidateTables(Qcow2Header header)
    {
        long cluster = header.ClusterSize;
        Require(header.L1Size >= header.L1EntriesFor(header.Size), "l1_size", $"at least {header.L1EntriesFor(header.Size)} for {header.Size} bytes", header.L1Size.ToString());
        Aligned("L1 table", header.L1TableOffset, cluster);
        Aligned("snapshot table", header.SnapshotsOffset, cluster);
        if (header.L1Size > 0) Table("L1 table", header.L1TableOffset, header.L1Size * 8L, cluster);
        if (header.SnapshotCount > 0) Table("snapshot table", header.SnapshotsOffset, 0, cluster);
        // A check reports overlaps itself, all of them.
        if (header.L1Size > 0 && !forCheck)
        {
            bool overlap = header.L1TableOffset < header.RefcountTableOffset + (header.RefcountTableClusters * cluster)
                && header.RefcountTableOffset < header.L1TableOffset + (header.L1Size * 8L);
            Require(!overlap, "L1 table", "a place of its own", $"{header.L1TableOffset}, inside the refcount table");
        }
    }

    private (long Offset, int Clusters) RefcountTableOf(byte[] first, int clusterBits)
    {
        try
        {
            long offset = Range64("refcount_table_offset", U64(first, 48), 0, Qcow2Layout.MaxHostOffset);
            int clusters = Range("refcount_table_clusters", U32(first, 56), 1, (int)(Qcow2Layout.MaxRefcountTableBytes >> clusterBits));
            Table("refcount table", offset, (long)clusters << clusterBits, 1L << clusterBits);
            return (offset, clusters);
        }
        catch (DiagnosticException) when (forCheck)
        {
            return (0, 0);
        }
    }

    private void Table(string name, long offset, long length, long cluster)
    {
        Aligned(name, offset, cluster);
        Require(offset >= cluster, $"{name} offset", "a place behind the header's cluster", offset.ToString());
        Require(offset <= medium.Length - length && offset <= Qcow2Layout.MaxHostOffset - length, name, $"an end within the file's {medium.Length} bytes", $"{offset} + {length}");
    }

    private void Aligned(string name, long offset, long cluster) =>
        Require(offset % cluster == 0, $"{name} offset", $"a multiple of the cluster size {cluster}", offset.ToString());

    private int Range(string field, uint value, int min, int max)
    {
        Require(value >= (uint)min && value <= (uint)max, field, $"{min} to {max}", value.ToString());
        return (int)value;
    }

    private long Range64(string field, ulong value, long min, long max)
    {
        Require(value >= (ulong)min && value <= (ulong)max, field, $"{min} to {max}", value.ToString());
        return (long)value;
    }

    private void Require(bool holds, string field, string expected, string found)
    {
        if (!holds)
            throw new DiagnosticException("SP3004", $"the qcow2 header is not valid: {field}", medium.Name, expected, found,
                "restore the image from a copy; nothing was changed");
    }

    private static uint U32(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt32BigEndian(b[at..]);

    private static ulong U64(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt64BigEndian(b[at..]);
}
