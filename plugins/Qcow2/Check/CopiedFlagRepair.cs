using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>
/// Sets copied flags to what the stored refcounts say. Runs after these are right and persistent: a flag that is set too early lets a
/// writer overwrite a shared cluster. Tables that overlap with anything are left alone.
/// </summary>
internal static class CopiedFlagRepair
{
    private const int PieceBytes = 64 << 10;

    public static void Run(ImageScan scan)
    {
        Qcow2Header header = scan.Header;
        long l1Bytes = header.L1Size * (long)sizeof(ulong);
        byte[] piece = new byte[PieceBytes];
        for (long at = 0; at < l1Bytes; at += PieceBytes)
        {
            Span<byte> part = piece.AsSpan(0, (int)Math.Min(PieceBytes, l1Bytes - at));
            MendPart(scan, header.L1TableOffset + at, part, ClusterUse.L1Table, isActive: true);
        }

        byte[] table = new byte[header.ClusterSize];
        foreach (L2Reference l2 in scan.L2Tables) MendPart(scan, l2.OffsetIn(header), table, ClusterUse.L2Table, l2.ActiveReferences > 0);
    }

    private static void MendPart(ImageScan scan, long offset, Span<byte> part, ClusterUse use, bool isActive)
    {
        for (long cluster = offset >> scan.Header.ClusterBits; cluster <= (offset + part.Length - 1) >> scan.Header.ClusterBits; cluster++)
        {
            if (scan.Map.Uses(cluster) != use) return;
        }

        int available = scan.Medium.Read(offset, part);
        int first = int.MaxValue, end = 0;
        for (int i = 0; i + sizeof(ulong) <= available; i += sizeof(ulong))
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(part[i..]);
            ulong right = use == ClusterUse.L2Table && (entry & Qcow2Layout.CompressedFlag) != 0 ? entry & ~Qcow2Layout.CopiedFlag
                : isActive ? WithRightFlag(scan, entry) : entry;
            if (right == entry) continue;
            BinaryPrimitives.WriteUInt64BigEndian(part[i..], right);
            first = Math.Min(first, i);
            end = i + sizeof(ulong);
        }

        if (end > 0) scan.Medium.Write(offset + first, part[first..end], use == ClusterUse.L1Table ? ContentClass.MapRoot : ContentClass.Map);
    }

    private static ulong WithRightFlag(ImageScan scan, ulong entry)
    {
        ulong offset = entry & Qcow2Layout.OffsetMask;
        if (offset == 0 || !scan.IsClusterInFile(offset, out _)) return entry;
        bool isOne = scan.Map.Stored((long)(offset >> scan.Header.ClusterBits)) == StoredRefcount.One;
        return isOne ? entry | Qcow2Layout.CopiedFlag : entry & ~Qcow2Layout.CopiedFlag;
    }
}
