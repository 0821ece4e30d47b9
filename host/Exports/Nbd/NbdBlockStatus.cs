using System.Buffers.Binary;
using System.Numerics;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Answers BLOCK_STATUS: one chunk for each negotiated context.</summary>
internal static class NbdBlockStatus
{
    /// <summary>Descriptors per context. A reply may cover less than was asked for; clients ask on from there.</summary>
    public const int MaxDescriptors = 1024;

    /// <summary>A buffer that holds the reply for any set of contexts.</summary>
    public const int MaxReplyBytes = 2 * (NbdProtocol.ChunkHeaderBytes + sizeof(uint) + (MaxDescriptors * DescriptorBytes));

    private const int DescriptorBytes = 2 * sizeof(uint);
    private const int ExtentsPerCall = 128;

    /// <summary>Writes the reply's chunks.</summary>
    /// <param name="disk">The disk.</param>
    /// <param name="request">A valid request: inside the disk, at least one byte.</param>
    /// <param name="contexts">The negotiated contexts, at least one.</param>
    /// <param name="destination">At least <see cref="MaxReplyBytes"/>.</param>
    /// <returns>Bytes written.</returns>
    public static int Write(ServedDisk disk, in NbdRequest request, NbdMetaContexts contexts, Span<byte> destination)
    {
        int written = 0;
        while (contexts != NbdMetaContexts.None)
        {
            var context = (NbdMetaContexts)(1u << BitOperations.TrailingZeroCount((uint)contexts));
            contexts &= ~context;
            written += WriteChunk(disk, request, context, isLast: contexts == NbdMetaContexts.None, destination[written..]);
        }

        return written;
    }

    private static int WriteChunk(ServedDisk disk, in NbdRequest request, NbdMetaContexts context, bool isLast, Span<byte> destination)
    {
        const int prefix = NbdProtocol.ChunkHeaderBytes + sizeof(uint);
        bool one = (request.Flags & NbdCommandFlags.ReqOne) != 0;
        int count = WriteDescriptors(disk, request, context, one ? 1 : MaxDescriptors, destination[prefix..]);

        uint payload = sizeof(uint) + (uint)(count * DescriptorBytes);
        NbdReply.WriteChunkHeader(destination, NbdChunk.BlockStatus, isLast, request.Cookie, payload);
        BinaryPrimitives.WriteUInt32BigEndian(destination[NbdProtocol.ChunkHeaderBytes..], (uint)context);
        return prefix + (count * DescriptorBytes);
    }

    private static int WriteDescriptors(ServedDisk disk, in NbdRequest request, NbdMetaContexts context, int limit, Span<byte> destination)
    {
        Span<DiskExtent> extents = stackalloc DiskExtent[ExtentsPerCall];
        long offset = request.Offset;
        long end = offset + request.Length;
        int count = 0;
        uint runStatus = 0;
        long runLength = 0;

        while (offset < end)
        {
            int described = disk.DescribeExtents(offset, end - offset, extents);
            foreach (DiskExtent extent in extents[..described])
            {
                uint status = context == NbdMetaContexts.BaseAllocation ? (uint)extent.Flags : (uint)extent.Depth;
                if (runLength > 0 && status != runStatus)
                {
                    WriteDescriptor(destination, count++, runLength, runStatus);
                    runLength = 0;
                    if (count == limit) return count;
                }

                runStatus = status;
                runLength += extent.Length;
                offset += extent.Length;
            }
        }

        WriteDescriptor(destination, count++, runLength, runStatus);
        return count;
    }

    // A run is at most as long as the request, whose length is 32 bits.
    private static void WriteDescriptor(Span<byte> destination, int index, long length, uint status)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination[(index * DescriptorBytes)..], (uint)length);
        BinaryPrimitives.WriteUInt32BigEndian(destination[((index * DescriptorBytes) + sizeof(uint))..], status);
    }
}
