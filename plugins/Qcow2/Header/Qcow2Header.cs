using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Qcow2.Header;

/// <summary>
/// The header of a qcow2 image, versions 2 and 3, with its extensions. Reading validates every field that can be judged without
/// reading further tables. Source: QEMU docs/interop/qcow2.
/// </summary>
/// <remarks>Immutable but for the fields that change while an image is open; those are changed by the image's single committer.</remarks>
internal sealed class Qcow2Header
{
    public required int Version { get; init; }
    public required int ClusterBits { get; init; }
    public required int RefcountOrder { get; init; }
    public int HeaderLength { get; init; } = Qcow2Layout.HeaderWrittenBytes;
    public CompressionKind Compression { get; init; }
    public ulong CompatibleFeatures { get; set; }
    public ulong IncompatibleFeatures { get; set; }
    public ulong AutoclearFeatures { get; set; }
    public string? BackingFile { get; init; }
    public string? BackingFormat { get; init; }
    public IReadOnlyList<FeatureName> FeatureNames { get; init; } = [];

    /// <summary>Extensions that this driver does not interpret, kept as they were.</summary>
    public IReadOnlyList<HeaderExtension> OtherExtensions { get; init; } = [];

    /// <summary>Where the extensions stand in the first cluster; empty for a header that was not read from an image.</summary>
    public ExtensionPlaces Places { get; init; } = ExtensionPlaces.None;

    /// <summary>The journal's extension, valid or not; <see langword="null"/> without one.</summary>
    public ReadOnlyMemory<byte>? JournalExtension { get; init; }

    public required long Size { get; set; }
    public required long L1TableOffset { get; set; }
    public required int L1Size { get; set; }
    public required long RefcountTableOffset { get; set; }
    public required int RefcountTableClusters { get; set; }
    public int SnapshotCount { get; set; }
    public long SnapshotsOffset { get; set; }

    public int ClusterSize => 1 << ClusterBits;
    public int RefcountBits => 1 << RefcountOrder;
    public bool LazyRefcounts => (CompatibleFeatures & Qcow2Features.LazyRefcounts) != 0;

    /// <summary>L2 entries in one table, a power of two; each is 8 bytes.</summary>
    public int L2Entries => ClusterSize / sizeof(ulong);

    /// <summary>Guest bytes that one L2 table maps.</summary>
    public long BytesPerL2Table => (long)ClusterSize * L2Entries;

    /// <summary>Clusters that one refcount block covers, a power of two.</summary>
    public int RefcountBlockEntries => ClusterSize * 8 / RefcountBits;

    /// <summary>Clusters needed for the guest's size.</summary>
    public long GuestClusters => (Size + ClusterSize - 1) >> ClusterBits;

    /// <summary>L1 entries that a size needs.</summary>
    public long L1EntriesFor(long size) => (size / BytesPerL2Table) + (size % BytesPerL2Table == 0 ? 0 : 1);

    /// <summary>Whether the medium starts with qcow2's magic and a version of 2 or more (version 1 is another format).</summary>
    public static bool Matches(IStorageMedium medium)
    {
        Span<byte> head = stackalloc byte[8];
        return medium.Read(0, head) == 8
            && BinaryPrimitives.ReadUInt32BigEndian(head) == Qcow2Layout.Magic
            && BinaryPrimitives.ReadUInt32BigEndian(head[4..]) >= 2;
    }

    /// <summary>Reads and validates the header.</summary>
    /// <exception cref="DiagnosticException">SP3001–SP3005: not qcow2, version, features, a field out of range.</exception>
    public static Qcow2Header Read(IStorageMedium medium) => new Qcow2HeaderReader(medium, forCheck: false).Read();

    /// <summary>Reads the header of an image whose journal may have to replay first: the places of its tables are not judged then, nor to be used.
    /// To be read anew when it has.</summary>
    /// <exception cref="DiagnosticException">SP3001–SP3005, as <see cref="Read"/>.</exception>
    public static Qcow2Header ReadBeforeRecovery(IStorageMedium medium) => new Qcow2HeaderReader(medium, forCheck: false, beforeRecovery: true).Read();

    /// <summary>Reads the header of an image that is to be checked: a refcount table in an impossible place, which can be rebuilt, is not
    /// refused but left out (offset and clusters 0).</summary>
    /// <exception cref="DiagnosticException">SP3001–SP3005, as <see cref="Read"/>.</exception>
    public static Qcow2Header ReadForCheck(IStorageMedium medium) => new Qcow2HeaderReader(medium, forCheck: true).Read();

    /// <summary>The header's first cluster as this driver writes it: header, extensions, backing file name; zeros to the cluster's end.</summary>
    public byte[] Serialize()
    {
        byte[] cluster = new byte[ClusterSize];
        Span<byte> b = cluster;
        byte[] backing = BackingFile is null ? [] : Encoding.UTF8.GetBytes(BackingFile);
        int headerBytes = Version == 2 ? Qcow2Layout.HeaderV2Bytes : HeaderLength;
        int end = WriteExtensions(b, headerBytes);
        if (end + backing.Length > ClusterSize)
            throw new DiagnosticException("SP3004", "the header with its extensions and the backing file's name does not fit into one cluster",
                expected: $"at most {ClusterSize} bytes", found: $"{end + backing.Length}", fix: "use larger clusters or a shorter name");
        backing.CopyTo(b[end..]);

        BinaryPrimitives.WriteUInt32BigEndian(b, Qcow2Layout.Magic);
        BinaryPrimitives.WriteInt32BigEndian(b[4..], Version);
        BinaryPrimitives.WriteInt64BigEndian(b[8..], backing.Length == 0 ? 0 : end);
        BinaryPrimitives.WriteInt32BigEndian(b[16..], backing.Length);
        BinaryPrimitives.WriteInt32BigEndian(b[20..], ClusterBits);
        BinaryPrimitives.WriteInt64BigEndian(b[24..], Size);
        BinaryPrimitives.WriteInt32BigEndian(b[36..], L1Size);
        BinaryPrimitives.WriteInt64BigEndian(b[40..], L1TableOffset);
        BinaryPrimitives.WriteInt64BigEndian(b[48..], RefcountTableOffset);
        BinaryPrimitives.WriteInt32BigEndian(b[56..], RefcountTableClusters);
        BinaryPrimitives.WriteInt32BigEndian(b[60..], SnapshotCount);
        BinaryPrimitives.WriteInt64BigEndian(b[64..], SnapshotsOffset);
        if (Version == 2) return cluster;

        BinaryPrimitives.WriteUInt64BigEndian(b[72..], IncompatibleFeatures);
        BinaryPrimitives.WriteUInt64BigEndian(b[80..], CompatibleFeatures);
        BinaryPrimitives.WriteUInt64BigEndian(b[88..], AutoclearFeatures);
        BinaryPrimitives.WriteInt32BigEndian(b[96..], RefcountOrder);
        BinaryPrimitives.WriteInt32BigEndian(b[100..], HeaderLength);
        if (HeaderLength > 104) b[104] = (byte)Compression;
        return cluster;
    }

    private int WriteExtensions(Span<byte> cluster, int start)
    {
        int at = start;
        if (BackingFormat is not null) at = WriteExtension(cluster, at, Qcow2Layout.ExtensionBackingFormat, Encoding.UTF8.GetBytes(BackingFormat));
        if (FeatureNames.Count > 0) at = WriteFeatureNames(cluster, at, FeatureNames);
        foreach (HeaderExtension extension in OtherExtensions) at = WriteExtension(cluster, at, extension.Type, extension.Data.Span);
        return WriteExtension(cluster, at, Qcow2Layout.ExtensionEnd, []);
    }

    /// <summary>Writes a feature-name table as an extension.</summary>
    /// <returns>The offset behind it.</returns>
    public static int WriteFeatureNames(Span<byte> cluster, int at, IReadOnlyList<FeatureName> names)
    {
        byte[] table = new byte[names.Count * 48];
        for (int i = 0; i < names.Count; i++)
        {
            Span<byte> entry = table.AsSpan(i * 48, 48);
            entry[0] = (byte)names[i].Kind;
            entry[1] = names[i].Bit;
            byte[] name = Encoding.UTF8.GetBytes(names[i].Name);
            name.AsSpan(0, Math.Min(name.Length, 46)).CopyTo(entry[2..]);
        }

        return WriteExtension(cluster, at, Qcow2Layout.ExtensionFeatureNames, table);
    }

    private static int WriteExtension(Span<byte> cluster, int at, uint type, ReadOnlySpan<byte> data)
    {
        int padded = (data.Length + 7) & ~7;
        if (at + 8 + padded > cluster.Length)
            throw new DiagnosticException("SP3004", "the header's extensions do not fit into one cluster", expected: $"at most {cluster.Length} bytes");
        BinaryPrimitives.WriteUInt32BigEndian(cluster[at..], type);
        BinaryPrimitives.WriteInt32BigEndian(cluster[(at + 4)..], data.Length);
        data.CopyTo(cluster[(at + 8)..]);
        return at + 8 + padded;
    }
}

/// <summary>A header extension by type and content.</summary>
internal sealed record HeaderExtension(uint Type, ReadOnlyMemory<byte> Data);

/// <summary>Where things stand in the first cluster.</summary>
/// <param name="Extensions">Type and offset of each extension's first byte, in order.</param>
/// <param name="End">The offset of the end marker.</param>
/// <param name="BackingFile">The offset of the backing file's name; 0 without one.</param>
internal sealed record ExtensionPlaces(IReadOnlyList<(uint Type, int Offset)> Extensions, int End, int BackingFile)
{
    public static ExtensionPlaces None { get; } = new([], 0, 0);
}
