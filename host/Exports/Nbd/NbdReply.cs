using System.Buffers.Binary;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Lays out the replies of the transmission phase.</summary>
internal static class NbdReply
{
    /// <summary>The most that <see cref="WriteHeader"/> writes.</summary>
    public const int MaxHeaderBytes = NbdProtocol.DataChunkHeaderBytes;

    /// <summary>Writes what precedes the payload of a reply, or the whole reply where there is none.</summary>
    /// <param name="destination">At least <see cref="MaxHeaderBytes"/>.</param>
    /// <param name="request">What is answered.</param>
    /// <param name="structured">Whether the connection negotiated structured replies.</param>
    /// <param name="error">The outcome.</param>
    /// <param name="payloadLength">Bytes that follow when the outcome is good.</param>
    /// <returns>Bytes written.</returns>
    /// <remarks>Structured replies are mandatory for READ and BLOCK_STATUS; everything else is shorter, and as legal, in a simple reply. The payload
    /// of BLOCK_STATUS consists of complete chunks (<see cref="NbdBlockStatus"/>) and has no header here.</remarks>
    public static int WriteHeader(Span<byte> destination, in NbdRequest request, bool structured, NbdError error, int payloadLength)
    {
        if (!structured || request.Command is not (NbdCommand.Read or NbdCommand.BlockStatus))
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination, NbdProtocol.SimpleReplyMagic);
            BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)error);
            BinaryPrimitives.WriteUInt64BigEndian(destination[8..], request.Cookie);
            return NbdProtocol.SimpleReplyBytes;
        }

        if (error != NbdError.None) return WriteErrorChunk(destination, request.Cookie, error);
        if (request.Command == NbdCommand.BlockStatus) return 0;
        if (payloadLength == 0) return WriteChunkHeader(destination, NbdChunk.None, done: true, request.Cookie, 0);

        return WriteDataChunkHeader(destination, request.Cookie, request.Offset, payloadLength, done: true);
    }

    /// <summary>Writes what precedes the data of an OFFSET_DATA chunk.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteDataChunkHeader(Span<byte> destination, ulong cookie, long offset, int length, bool done)
    {
        WriteChunkHeader(destination, NbdChunk.OffsetData, done, cookie, sizeof(ulong) + (uint)length);
        BinaryPrimitives.WriteInt64BigEndian(destination[NbdProtocol.ChunkHeaderBytes..], offset);
        return NbdProtocol.DataChunkHeaderBytes;
    }

    /// <summary>Writes the header of a chunk.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteChunkHeader(Span<byte> destination, NbdChunk type, bool done, ulong cookie, uint length)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, NbdProtocol.ChunkMagic);
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], done ? NbdProtocol.ChunkDone : (ushort)0);
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], (ushort)type);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], cookie);
        BinaryPrimitives.WriteUInt32BigEndian(destination[16..], length);
        return NbdProtocol.ChunkHeaderBytes;
    }

    private static int WriteErrorChunk(Span<byte> destination, ulong cookie, NbdError error)
    {
        // The error, and a message of no bytes: a client needs no paths of this host.
        const int payload = sizeof(uint) + sizeof(ushort);
        int header = WriteChunkHeader(destination, NbdChunk.Error, done: true, cookie, payload);
        BinaryPrimitives.WriteUInt32BigEndian(destination[header..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(destination[(header + sizeof(uint))..], 0);
        return header + payload;
    }
}
