namespace StoragePlugins.Journaling;

/// <summary>Finds, prepares and gives up the log of one image. What differs between journals besides the log itself.</summary>
/// <remarks>Called from the thread that opens or closes the image, in the order of the members.</remarks>
public interface IRecordLogSource : IDisposable
{
    /// <summary>The log of the session that did not end cleanly. The image's mark is set.</summary>
    /// <param name="markPayload">What <see cref="WriteMarkPayload"/> had stored.</param>
    /// <exception cref="DiagnosticException">It is missing, foreign, too small, older than the image, or in use. Nothing was changed.</exception>
    IRecordLog Find(ReadOnlyMemory<byte> markPayload);

    /// <summary>Reserves and prepares the log of a new session. What it held before has been replayed.</summary>
    /// <exception cref="StorageException">No space.</exception>
    IRecordLog Prepare();

    /// <summary>Writes what the mark is to carry, so that <see cref="Find"/> can trust what it finds.</summary>
    /// <param name="payload"><see cref="IInUseMark.MaxPayloadBytes"/> long.</param>
    /// <returns>Bytes used.</returns>
    int WriteMarkPayload(Span<byte> payload);

    /// <summary>The mark is durable with this identity; records follow.</summary>
    void Marked(RecordIdentity identity);

    /// <summary>Everything is home and the mark is clear.</summary>
    void Cleared();
}
