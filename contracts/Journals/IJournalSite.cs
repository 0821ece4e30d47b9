namespace StoragePlugins;

/// <summary>What a format offers the journal of one image: identity, homes, and, as capabilities, room inside and a durable mark.</summary>
/// <remarks>Capabilities to ask for: <see cref="IJournalRegionSite"/>, <see cref="IInUseMark"/>.</remarks>
public interface IJournalSite : ICapabilitySource
{
    /// <summary>The image's name for messages.</summary>
    string ImageName { get; }

    /// <summary>Identifies the image for as long as the in-use mark is set; <see cref="Guid.Empty"/> while it has none.</summary>
    Guid ImageId { get; }

    /// <summary>Rises by one at each opening for writing under a mark. A journal of an older epoch is never replayed.</summary>
    ulong Epoch { get; }

    /// <summary>True when the image is opened for reading only: recovery must not write.</summary>
    bool IsReadOnly { get; }

    /// <summary>Whether a replay may write this range: metadata homes and guest data, never beyond the image, never the journal's own region.</summary>
    bool IsHome(long offset, long length);
}

/// <summary>Capability of a site: the image has room for a journal region.</summary>
public interface IJournalRegionSite
{
    /// <summary>The region that the image's durable metadata names, if any and if still valid (no foreign writer has touched the image).</summary>
    JournalRegion? Locate();

    /// <summary>Allocates a contiguous region of at least <paramref name="length"/> bytes and names it durably in the image.</summary>
    /// <remarks>Its content is unspecified. Durable on return.</remarks>
    JournalRegion Reserve(long length);

    /// <summary>Frees the region and removes its name from the image. Durable on return.</summary>
    void Release();
}

/// <summary>A contiguous byte range inside an image that belongs to its journal.</summary>
/// <param name="Offset">First byte in the home medium.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct JournalRegion(long Offset, long Length);

/// <summary>Capability of a site: a durable mark that foreign readers respect ("do not open me without my journal").</summary>
public interface IInUseMark
{
    /// <summary>The payload stored with the mark; <see langword="null"/> when the mark is clear.</summary>
    ReadOnlyMemory<byte>? Payload { get; }

    /// <summary>Sets the mark and stores what the journal needs to find and trust itself again (at most 512 bytes). Durable on return.</summary>
    void Set(ReadOnlySpan<byte> payload);

    /// <summary>Clears the mark. Everything that it protected must be home and durable. Durable on return.</summary>
    void Clear();
}
