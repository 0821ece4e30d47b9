namespace StoragePlugins.Qcow2.Header;

/// <summary>Feature bits of the qcow2 header (docs/interop/qcow2: "incompatible_features", "compatible_features", "autoclear_features").</summary>
internal static class Qcow2Features
{
    /// <summary>Refcounts may be stale: rebuild before use.</summary>
    public const ulong Dirty = 1UL << 0;

    /// <summary>A structure is known to be corrupt: read only.</summary>
    public const ulong Corrupt = 1UL << 1;

    /// <summary>Guest data lives in another file.</summary>
    public const ulong ExternalDataFile = 1UL << 2;

    /// <summary>The header names its compression type.</summary>
    public const ulong CompressionType = 1UL << 3;

    /// <summary>L2 entries carry 32 subclusters.</summary>
    public const ulong ExtendedL2 = 1UL << 4;

    /// <summary>Ours, far from the specification's next free bit: a journal must replay before anything else reads or writes the image.</summary>
    public const ulong JournalInUse = 1UL << JournalBit;

    /// <summary>Ours, autoclear: nobody who ignores the journal has written to the image since the mark was set.</summary>
    public const ulong JournalValid = 1UL << JournalBit;

    /// <summary>The bit of both.</summary>
    public const int JournalBit = 62;

    /// <summary>Compatible: refcounts may be written lazily under the dirty bit.</summary>
    public const ulong LazyRefcounts = 1UL << 0;

    /// <summary>Autoclear: the bitmaps extension is consistent.</summary>
    public const ulong Bitmaps = 1UL << 0;

    /// <summary>What this driver reads and writes.</summary>
    public const ulong SupportedIncompatible = Dirty | Corrupt | CompressionType | JournalInUse;

    /// <summary>What other programs print when they refuse a marked image; at most 46 bytes each.</summary>
    public static IReadOnlyList<FeatureName> JournalNames { get; } =
    [
        new(FeatureKind.Incompatible, JournalBit, "journal in use, run: sphost image recover"),
        new(FeatureKind.Autoclear, JournalBit, "StoragePlugins journal valid"),
    ];

    private static readonly string[] s_incompatibleNames =
        ["dirty bit", "corrupt bit", "external data file", "compression type", "extended L2 entries"];

    /// <summary>Names incompatible bits: by the image's own feature-name table, by the specification, or by number.</summary>
    public static string Describe(ulong bits, IReadOnlyList<FeatureName> names)
    {
        var described = new List<string>();
        for (int bit = 0; bit < 64; bit++)
        {
            if ((bits & (1UL << bit)) == 0) continue;
            FeatureName? stored = names.FirstOrDefault(n => n.Kind == FeatureKind.Incompatible && n.Bit == bit);
            described.Add(stored is { Name.Length: > 0 } ? stored.Name
                : bit < s_incompatibleNames.Length ? s_incompatibleNames[bit]
                : $"unknown incompatible feature bit {bit}");
        }

        return string.Join(", ", described);
    }
}

/// <summary>Which feature word a name belongs to; the values are the specification's.</summary>
internal enum FeatureKind : byte
{
    Incompatible = 0,
    Compatible = 1,
    Autoclear = 2,
}

/// <summary>An entry of the feature-name table.</summary>
internal sealed record FeatureName(FeatureKind Kind, byte Bit, string Name);

/// <summary>How compressed clusters are compressed; the values are the specification's.</summary>
internal enum CompressionKind : byte
{
    Deflate = 0,
    Zstd = 1,
}
