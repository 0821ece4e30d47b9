using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.PmJournal;

/// <summary>Options of the journal <c>pm</c>.</summary>
public sealed class PmJournalOptions
{
    /// <summary>Where the journal lies.</summary>
    [Description("A file on a DAX file system, a DAX device, or any file; empty: beside the image, with .pmj added to its name.")]
    public string Path { get; set; } = "";

    /// <summary>Bytes of a journal file that has to be made.</summary>
    [Description("Size of the journal file when it has to be made.")]
    [Range(Region.PmRegion.LeastBytes, Region.PmRegion.MostBytes)]
    [CrashTestValues("256K")]
    public long Size { get; set; } = 16L << 20;

    /// <summary>Where a store is durable.</summary>
    [Description("Where a store is durable: found out (auto), at the memory controller (adr), in the CPU caches (eadr), after msync(2) (msync), nowhere (none).")]
    [AllowedValues("auto", "adr", "eadr", "msync", "none")]
    public string PersistenceDomain { get; set; } = "auto";

    /// <summary>Ordinary memory may stand in.</summary>
    [Description("Accept ordinary memory, or a weaker domain than the one named, in place of persistent memory: nothing survives a power cut.")]
    public bool Emulated { get; set; }

    /// <summary>The longest guest write that rides in the journal.</summary>
    [Description("Guest writes up to this length ride in the journal's next record instead of going to the image at once; 0: none.")]
    [Range(0, 64 << 10)]
    [CrashTestValues("4K", "0")]
    public int MaxInline { get; set; } = 4096;

    /// <summary>The smallest region that is taken; not an option: crash tests explore rings of a few records.</summary>
    internal long LeastRegionBytes { get; init; } = Region.PmRegion.LeastBytes;

    internal PersistenceDomain? Domain => PersistenceDomain == "auto" ? null : Enum.Parse<PersistenceDomain>(PersistenceDomain, ignoreCase: true);
}
