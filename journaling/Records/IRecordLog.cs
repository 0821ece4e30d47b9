namespace StoragePlugins.Journaling;

/// <summary>
/// Where records go: a ring of bytes on a block medium or in persistent memory. It stores one record at a place and says whether a valid one
/// stands at a place; which places are free is the session's business.
/// </summary>
/// <remarks>
/// <para>A record is all or nothing by its checksum, over header and payload, seeded by (or covering) the identity: a torn record, one of another
/// image or of an earlier session is never valid.</para>
/// <para>Threading: <see cref="Append"/> comes from one thread at a time, <see cref="TryRead"/> only during recovery.</para>
/// </remarks>
public interface IRecordLog
{
    /// <summary>Length of the ring in bytes, a multiple of <see cref="Alignment"/>.</summary>
    long Capacity { get; }

    /// <summary>Records start at multiples of this and occupy multiples of it: what the medium writes without touching its neighbours.
    /// A power of two; 4096 for a disk, a cache line for persistent memory.</summary>
    int Alignment { get; }

    /// <summary>Bytes that the log wants for its own header in front of each payload.</summary>
    int HeaderBytes { get; }

    /// <summary>
    /// True when a record is durable as soon as <see cref="Append"/> returned (persistent memory). It then overtakes what the home medium
    /// still holds in its cache, so the session makes direct writes durable first. False: it becomes durable, and is ordered, with the home medium's next
    /// flush or barrier.
    /// </summary>
    bool IsDurableOnAppend { get; }

    /// <summary>Stores a record.</summary>
    /// <param name="position">Place in the ring; record and padding lie inside it in one piece.</param>
    /// <param name="header">What to keep besides the payload.</param>
    /// <param name="frame">Room of <see cref="HeaderBytes"/> for the header, then the payload, then zeros up to a multiple of
    /// <see cref="Alignment"/>: one contiguous write. The log fills the header in.</param>
    /// <exception cref="StorageException">It failed; any part may be there. The session may append the same txid again with the next attempt.</exception>
    void Append(long position, in RecordHeader header, Span<byte> frame);

    /// <summary>Reads the record that starts at a place.</summary>
    /// <param name="position">A multiple of <see cref="Alignment"/> inside the ring.</param>
    /// <param name="identity">What it must belong to.</param>
    /// <param name="payload">Receives the payload from index 0 on; made larger when needed. Its content is unspecified when there is no record.</param>
    /// <param name="header">The record's header.</param>
    /// <returns>False when no whole record of this identity stands there.</returns>
    /// <exception cref="StorageException">The medium cannot be read.</exception>
    bool TryRead(long position, in RecordIdentity identity, ref byte[] payload, out RecordHeader header);
}

/// <summary>What a record belongs to.</summary>
/// <param name="ImageId">The image.</param>
/// <param name="Epoch">The session: rises each time the in-use mark is set.</param>
public readonly record struct RecordIdentity(Guid ImageId, ulong Epoch);

/// <summary>What a log keeps of a record besides its payload.</summary>
/// <param name="Identity">Image and session.</param>
/// <param name="Txid">1 for the first of a session, then one more each.</param>
/// <param name="TailTxid">The oldest record that a replay needs when this one is the newest; at most <paramref name="Txid"/>.</param>
/// <param name="Attempt">0; one more each time the append of this txid failed before. Of two valid records the later attempt counts.</param>
/// <param name="HomeLength">Length of home: a replay extends the medium to it, since what the record maps may lie there.</param>
/// <param name="PayloadLength">Bytes of payload.</param>
public readonly record struct RecordHeader(RecordIdentity Identity, ulong Txid, ulong TailTxid, uint Attempt, long HomeLength, int PayloadLength);
