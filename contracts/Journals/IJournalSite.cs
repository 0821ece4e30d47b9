namespace StoragePlugins;

/// <summary>What a format offers the journal of one image: identity, homes, and, as capabilities, room inside and a durable mark.</summary>
/// <remarks>Capabilities to ask for: <see cref="IJournalRegionSite"/>, <see cref="IInUseMark"/>.</remarks>
public interface IJournalSite : ICapabilitySource
{
    /// <summary>The image's name for messages.</summary>
    string ImageName { get; }

    /// <summary>Identifies the image for as long as the in-use mark is set; <see cref="Guid.Empty"/> while it has none.</summary>
    Guid ImageId { get; }

    /// <summary>Rises by one each time the mark is set. A record of another epoch is never replayed.</summary>
    ulong Epoch { get; }

    /// <summary>True when the image is opened for reading only: recovery must not write.</summary>
    bool IsReadOnly { get; }

    /// <summary>Whether a replay may write this range: metadata homes and guest data, never the mark, never the journal's own region.</summary>
    bool IsHome(long offset, long length);
}

/// <summary>Capability of a site: the image has room for a journal region.</summary>
public interface IJournalRegionSite
{
    /// <summary>The region that the in-use mark names; <see langword="null"/> when the mark is clear or names none.</summary>
    JournalRegion? Region { get; }

    /// <summary>
    /// Sets a contiguous region of at least <paramref name="length"/> bytes aside, aligned to the image's clusters; or returns the present one
    /// when that is large enough.
    /// </summary>
    /// <remarks>Its content is unspecified. <see cref="IInUseMark.Set"/> makes its place durable; <see cref="IInUseMark.Clear"/> gives it back.
    /// Until then the format uses it for nothing else. Not before <see cref="IJournalSession.Start"/>.</remarks>
    /// <exception cref="StorageException">No space.</exception>
    JournalRegion Reserve(long length);
}

/// <summary>A contiguous byte range inside an image that belongs to its journal.</summary>
/// <param name="Offset">First byte in the home medium.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct JournalRegion(long Offset, long Length);

/// <summary>
/// Capability of a site: a durable mark that foreign readers respect ("do not open me without my journal"). It carries the journal's id, the
/// image's identity and epoch, the region, and a payload.
/// </summary>
/// <remarks>The format itself refuses an image whose mark belongs to another journal than the pipeline's, or that a program which ignores
/// the mark has written to; a journal sees only its own.</remarks>
public interface IInUseMark
{
    /// <summary>The most bytes that a payload may have.</summary>
    const int MaxPayloadBytes = 256;

    /// <summary>The payload stored with the mark; <see langword="null"/> when the mark is clear.</summary>
    ReadOnlyMemory<byte>? Payload { get; }

    /// <summary>
    /// Sets the mark, or sets it anew, and stores what the journal needs to find and trust itself again. <see cref="IJournalSite.Epoch"/> rises by
    /// one; <see cref="IJournalSite.ImageId"/> is made when there is none. Atomic against a crash; durable on return.
    /// </summary>
    /// <exception cref="DiagnosticException">The image has no room for a mark.</exception>
    void Set(ReadOnlySpan<byte> payload);

    /// <summary>Clears the mark. Everything that it protected must be home and durable. Atomic against a crash; durable on return.</summary>
    void Clear();
}
