namespace StoragePlugins;

/// <summary>
/// A disk format: what must be durable before what, and where metadata lives. It never syncs and never knows a device.
/// </summary>
/// <remarks>
/// Export it with <c>[Export(typeof(IBlockFormat))]</c> and <see cref="StrategyAttribute"/>. The exported object is stateless and
/// thread-safe. Further abilities are interfaces on the same object: <see cref="ICheckingFormat"/>.
/// </remarks>
public interface IBlockFormat
{
    /// <summary>Says whether a medium holds this format. Reads only, at most a few KiB, and never throws on content.</summary>
    FormatMatch Probe(IStorageMedium medium);

    /// <summary>Writes a new, empty image over whatever the medium held. Not durable on return: the caller flushes.</summary>
    /// <exception cref="DiagnosticException">Size or options are out of range; the message says which and what is allowed.</exception>
    void Create(IStorageMedium medium, CreateRequest request, StrategyContext context);

    /// <summary>Opens an image, recovers it where that is its way, and makes its disks available.</summary>
    /// <exception cref="DiagnosticException">The image is not valid, or needs what this format does not support (named).</exception>
    IDiskImage Open(OpenRequest request, StrategyContext context);
}

/// <summary>How sure a format is of a medium.</summary>
public enum FormatMatch
{
    /// <summary>Not this format.</summary>
    No = 0,

    /// <summary>Cannot be told from other content (raw matches anything): used only when asked for by name or when nothing is certain.</summary>
    Possible,

    /// <summary>The format's own magic is there.</summary>
    Certain,
}

/// <summary>What a new image is to be.</summary>
/// <param name="Size">Virtual size in bytes.</param>
/// <param name="BackingFile">The backing file's name as it is to be stored, relative to the image's folder; or <see langword="null"/>.</param>
/// <param name="BackingFormat">The backing file's format id; required with a backing file.</param>
public sealed record CreateRequest(long Size, string? BackingFile = null, string? BackingFormat = null);

/// <summary>What a format is given to open an image.</summary>
public sealed class OpenRequest
{
    /// <summary>The image. The returned <see cref="IDiskImage"/> disposes it.</summary>
    public required IOrderedMedium Storage { get; init; }

    /// <summary>Opens the pipeline's journal with the pipeline's options. Called once by a format that has metadata, never by others.</summary>
    public required Func<IJournalSite, IOrderedMedium, IJournalSession> OpenJournal { get; init; }

    /// <summary>The id of the pipeline's journal. An image whose in-use mark names another one is refused.</summary>
    public required string JournalId { get; init; }

    /// <summary>Opens a backing file for reading. Its loops, depth and format are the host's care.</summary>
    public required Func<BackingRequest, IVirtualDisk> OpenBacking { get; init; }

    /// <summary>True when nothing may be written, also not by recovery.</summary>
    public bool ReadOnly { get; init; }
}

/// <summary>A backing file named by an image.</summary>
/// <param name="File">As stored in the image; relative names are relative to the image's folder.</param>
/// <param name="Format">The format id stored in the image; <see langword="null"/> to probe.</param>
public sealed record BackingRequest(string File, string? Format);

/// <summary>Ability of a format: check an image that nobody has open, independently of the code that writes it.</summary>
public interface ICheckingFormat
{
    /// <summary>Reads every structure of the image and compares.</summary>
    /// <param name="medium">The image; written only when <paramref name="repair"/> is not <see cref="RepairMode.None"/>.</param>
    /// <param name="repair">What to mend.</param>
    /// <param name="context">Options and log.</param>
    /// <remarks>Not durable on return: the caller flushes after a repair. Memory is bounded by 16 bytes per cluster of the image.</remarks>
    CheckReport Check(IStorageMedium medium, RepairMode repair, StrategyContext context);
}

/// <summary>What a check may mend.</summary>
public enum RepairMode
{
    /// <summary>Nothing: read only.</summary>
    None = 0,

    /// <summary>Space that nobody references.</summary>
    Leaks,

    /// <summary>Everything that can be derived from the references.</summary>
    All,
}

/// <summary>The result of a check, in qemu-img's terms.</summary>
/// <param name="Corruptions">Errors that endanger data, left after any repair.</param>
/// <param name="Leaks">Clusters allocated and unreferenced, left after any repair.</param>
/// <param name="CorruptionsFixed">Errors mended.</param>
/// <param name="LeaksFixed">Leaked clusters given back.</param>
/// <param name="Findings">One line each, bounded in number; the counts are complete.</param>
/// <param name="AllocatedBytes">Guest bytes that the image maps.</param>
/// <param name="ImageEnd">The end of the last cluster in use.</param>
public sealed record CheckReport(
    long Corruptions, long Leaks, long CorruptionsFixed, long LeaksFixed, IReadOnlyList<string> Findings, long AllocatedBytes, long ImageEnd);

/// <summary>Ability of a format whose images a journal can mark as in use.</summary>
public interface IJournaledFormat
{
    /// <summary>Says whether a journal must replay first, and whether the image can be marked at all. Reads only.</summary>
    JournalFacts InspectJournal(IStorageMedium medium);

    /// <summary>
    /// Makes an image plain whose journal is lost or cannot be replayed: what only the journal held is gone, and the image needs a check.
    /// </summary>
    /// <remarks>Not durable on return: the caller flushes.</remarks>
    void DiscardJournal(IStorageMedium medium);
}

/// <summary>How an image stands to journals.</summary>
/// <param name="InUse">The id of the journal that must replay before anything else reads the image, empty when the mark cannot be read;
/// <see langword="null"/> for a plain image.</param>
/// <param name="WhyNone">Why the image cannot be marked, in words; <see langword="null"/> when it can.</param>
public sealed record JournalFacts(string? InUse, string? WhyNone);
