using System.Buffers.Binary;
using System.Collections;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>
/// Writes a new refcount table and new blocks behind the end of the file, from the references alone, and then lets the header name them.
/// Until that last write the image is as it was.
/// </summary>
internal static class RefcountRebuild
{
    /// <returns>Whether the image was changed: false when the new table would be larger than allowed.</returns>
    public static bool Run(ImageScan scan, Action barrier)
    {
        Qcow2Header header = scan.Header;
        ReleaseOldStructure(scan);
        long start = scan.Map.Clusters + (scan.Map.References(scan.Map.Clusters) > 0 ? 1 : 0);
        BitArray needed = BlocksWithReferences(scan, start);
        if (!Lay(scan, needed, start, out long tableClusters, out long blocks))
        {
            scan.Findings.Note($"the refcounts cannot be rebuilt: their table would exceed {Qcow2Layout.MaxRefcountTableBytes} bytes");
            return false;
        }

        long end = start + tableClusters + blocks;
        byte[] table = new byte[tableClusters << header.ClusterBits], block = new byte[header.ClusterSize];
        long next = start + tableClusters;
        for (int index = 0; index < needed.Length; index++)
        {
            if (!needed[index]) continue;
            Fill(scan, block, index, start, end);
            scan.Medium.Write(next << header.ClusterBits, block, ContentClass.Allocation);
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(index * sizeof(ulong)), next << header.ClusterBits);
            next++;
        }

        scan.Medium.Write(start << header.ClusterBits, table, ContentClass.AllocationRoot);
        barrier();
        SwitchTo(scan, start << header.ClusterBits, (int)tableClusters);
        return true;
    }

    private static void ReleaseOldStructure(ImageScan scan)
    {
        Qcow2Header header = scan.Header;
        long table = header.RefcountTableOffset >> header.ClusterBits;
        for (int i = 0; i < header.RefcountTableClusters; i++) scan.Map.Remove(table + i, ClusterUse.RefcountTable);
        foreach (long block in scan.RefcountBlocks)
        {
            if (block != 0) scan.Map.Remove(block >> header.ClusterBits, ClusterUse.RefcountBlock);
        }
    }

    private static BitArray BlocksWithReferences(ImageScan scan, long end)
    {
        var needed = new BitArray((int)(((end - 1) / scan.Header.RefcountBlockEntries) + 1));
        for (long cluster = 0; cluster < end; cluster++)
        {
            if (!scan.Map.IsTouched(cluster)) cluster |= ClusterMap.ChunkClusters - 1;
            else if (Right(scan, cluster) > 0) needed[(int)(cluster / scan.Header.RefcountBlockEntries)] = true;
        }

        return needed;
    }

    /// <summary>Finds how much room table and blocks take. They cover themselves, so the numbers are a fixed point; they only rise.</summary>
    private static bool Lay(ImageScan scan, BitArray needed, long start, out long tableClusters, out long blocks)
    {
        int perBlock = scan.Header.RefcountBlockEntries;
        (tableClusters, blocks) = (0, 0);
        while (true)
        {
            long end = start + tableClusters + blocks;
            long lastBlock = Math.Max(needed.Length - 1, (end - 1) / perBlock);
            long newTable = (((lastBlock + 1) * sizeof(ulong)) + scan.Header.ClusterSize - 1) >> scan.Header.ClusterBits;
            if (newTable << scan.Header.ClusterBits > Qcow2Layout.MaxRefcountTableBytes) return false;
            needed.Length = (int)lastBlock + 1;
            for (long index = start / perBlock; index <= lastBlock; index++) needed[(int)index] = true;
            long newBlocks = 0;
            foreach (bool isNeeded in needed) newBlocks += isNeeded ? 1 : 0;
            if (newTable == tableClusters && newBlocks == blocks) return true;
            (tableClusters, blocks) = (newTable, newBlocks);
        }
    }

    private static void Fill(ImageScan scan, byte[] block, int index, long start, long end)
    {
        block.AsSpan().Clear();
        int order = scan.Header.RefcountOrder;
        long first = RefcountWalk.FirstCluster(scan.Header, index);
        for (int i = 0; i < scan.Header.RefcountBlockEntries && first + i < end; i++)
        {
            ulong right = first + i >= start ? 1 : Right(scan, first + i);
            if (right != 0) RefcountEntries.Set(block, i, order, Math.Min(right, RefcountEntries.Max(order)));
        }
    }

    /// <summary>The references; and one where something was allocated that broken pointers may have led to.</summary>
    private static ulong Right(ImageScan scan, long cluster)
    {
        long references = scan.Map.References(cluster);
        return references == 0 && scan.HasBrokenPointers && scan.Map.Stored(cluster) != StoredRefcount.Zero ? 1 : (ulong)references;
    }

    private static void SwitchTo(ImageScan scan, long offset, int clusters)
    {
        Span<byte> fields = stackalloc byte[12];
        BinaryPrimitives.WriteInt64BigEndian(fields, offset);
        BinaryPrimitives.WriteInt32BigEndian(fields[8..], clusters);
        scan.Medium.Write(Qcow2Layout.RefcountTableFieldsOffset, fields, ContentClass.Header);
        scan.Header.RefcountTableOffset = offset;
        scan.Header.RefcountTableClusters = clusters;
    }
}
