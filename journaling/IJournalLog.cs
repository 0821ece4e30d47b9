namespace StoragePlugins.Journaling;

/// <summary>Where one image's journal keeps its records, from open to close. What differs between redo journals.</summary>
public interface IJournalLog : IDisposable
{
    /// <summary>The log that an earlier session left; <see langword="null"/> when the image is not marked. Reads only.</summary>
    /// <exception cref="DiagnosticException">The image is marked and its log is missing, foreign, older than the image, or in use.</exception>
    ILogStorage? Find();

    /// <summary>
    /// Makes room for records, reserves it durably, and sets the in-use mark, so that the image's epoch rises and no earlier record is valid any more.
    /// </summary>
    /// <exception cref="DiagnosticException">There is no room, or the site lacks what this journal needs.</exception>
    ILogStorage Prepare();

    /// <summary>Everything is home and durable: clears the mark, and lets go of the room.</summary>
    void Retire();
}

/// <summary>The bytes of a log. Positions are bytes from its start.</summary>
/// <remarks>One writer at a time; no reads while records are written.</remarks>
public interface ILogStorage
{
    /// <summary>Bytes, a multiple of <see cref="Alignment"/>.</summary>
    long Length { get; }

    /// <summary>Records start and end at multiples of it (a power of two, at least 64): what a write to the log may damage beside itself.</summary>
    int Alignment { get; }

    /// <summary>True when a record is durable as soon as <see cref="Write"/> returns (persistent memory). Then data that went to the home medium must be
    /// durable before the record is written. False: one flush of the home medium covers both.</summary>
    bool IsDurableOnWrite { get; }

    /// <summary>Fills the buffer.</summary>
    void Read(long position, Span<byte> buffer);

    /// <summary>Writes a record. A crash in between leaves any mixture of old and new bytes; the record's checksum tells.</summary>
    void Write(long position, ReadOnlySpan<byte> record);
}
