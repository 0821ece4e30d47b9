namespace StoragePlugins.Qcow2.Compression;

/// <summary>
/// Where a compressed cluster lies: any byte offset, and a length that reaches to the end of its last 512-byte sector, so that the stream
/// may be followed by bytes of its neighbours. The range may reach beyond the end of the file. Source: docs/interop/qcow2, "Compressed Clusters Descriptor".
/// </summary>
/// <param name="Offset">First byte in the image file; at most 2^61 − 1, not yet checked against the file.</param>
/// <param name="Length">Bytes; 1 to twice the cluster size.</param>
internal readonly record struct CompressedExtent(long Offset, int Length)
{
    private const int SectorSize = 512;

    /// <summary>Decodes an L2 entry whose compressed flag is set. Total: every bit pattern gives an extent.</summary>
    public static CompressedExtent Decode(ulong l2Entry, int clusterBits)
    {
        int sectorsShift = 62 - (clusterBits - 8);
        long offset = (long)(l2Entry & ((1UL << sectorsShift) - 1));
        int furtherSectors = (int)((l2Entry >> sectorsShift) & ((1UL << (clusterBits - 8)) - 1));
        return new CompressedExtent(offset, ((furtherSectors + 1) * SectorSize) - (int)(offset & (SectorSize - 1)));
    }
}
