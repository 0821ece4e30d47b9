using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>Reads the refcount structure and compares it with the references.</summary>
internal static class RefcountWalk
{
    /// <summary>Reads the table and records the stored refcount of each cluster.</summary>
    public static void ReadStored(ImageScan scan)
    {
        Qcow2Header header = scan.Header;
        if (header.RefcountTableClusters == 0)
        {
            scan.Findings.Corruption($"the header names a refcount table in an impossible place");
            scan.NeedsRebuild = true;
            return;
        }

        int tableBytes = header.RefcountTableClusters * header.ClusterSize;
        byte[] table = new byte[tableBytes];
        scan.ReadCluster(header.RefcountTableOffset, table);
        scan.RefcountBlocks = new long[tableBytes / sizeof(ulong)];
        for (int i = 0; i < scan.RefcountBlocks.Length; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i * sizeof(ulong)));
            if (entry != 0) VisitTableEntry(scan, entry, i);
        }

        byte[] block = new byte[header.ClusterSize];
        for (int i = 0; i < scan.RefcountBlocks.Length && FirstCluster(header, i) <= scan.Map.Clusters; i++)
        {
            if (scan.RefcountBlocks[i] == 0) continue;
            scan.ReadCluster(scan.RefcountBlocks[i], block);
            if (block.AsSpan().IndexOfAnyExcept((byte)0) >= 0) RecordBlock(scan, block, i);
        }
    }

    /// <summary>Records what table and blocks themselves occupy.</summary>
    public static void AddStructure(ImageScan scan)
    {
        scan.AddRange(scan.Header.RefcountTableOffset, scan.Header.RefcountTableClusters * (long)scan.Header.ClusterSize, ClusterUse.RefcountTable);
        foreach (long block in scan.RefcountBlocks)
        {
            if (block != 0) scan.Map.Add(block >> scan.Header.ClusterBits, ClusterUse.RefcountBlock, 1);
        }
    }

    /// <summary>Compares stored refcounts with references, for every cluster of the file.</summary>
    public static void Compare(ImageScan scan)
    {
        Qcow2Header header = scan.Header;
        byte[] block = new byte[header.ClusterSize];
        long last = scan.Map.References(scan.Map.Clusters) > 0 ? scan.Map.Clusters : scan.Map.Clusters - 1;
        for (long cluster = 0; cluster <= last;)
        {
            int index = (int)(cluster / header.RefcountBlockEntries);
            long end = Math.Min(last + 1, FirstCluster(header, index + 1));
            LoadBlock(scan, index, block);
            for (; cluster < end; cluster++)
            {
                if (!scan.Map.IsTouched(cluster))
                {
                    // Stored refcounts touch the map too: nothing stored, nothing referenced.
                    cluster = Math.Min(end - 1, cluster | (ClusterMap.ChunkClusters - 1));
                    continue;
                }

                Judge(scan, cluster, RefcountEntries.Get(block, (int)(cluster - FirstCluster(header, index)), header.RefcountOrder));
            }
        }
    }

    /// <summary>The first cluster that a refcount block covers.</summary>
    public static long FirstCluster(Qcow2Header header, int index) => index * (long)header.RefcountBlockEntries;

    /// <summary>Reads a refcount block; zeros where there is none.</summary>
    public static void LoadBlock(ImageScan scan, int index, byte[] block)
    {
        if (index < scan.RefcountBlocks.Length && scan.RefcountBlocks[index] != 0) scan.ReadCluster(scan.RefcountBlocks[index], block);
        else block.AsSpan().Clear();
    }

    private static void VisitTableEntry(ImageScan scan, ulong entry, int index)
    {
        ulong offset = entry & Qcow2Layout.RefcountTableOffsetMask;
        string fault = "";
        if ((entry & ~Qcow2Layout.RefcountTableOffsetMask) != 0) fault = "has reserved bits set";
        else if (!scan.IsClusterInFile(offset, out string place)) fault = $"names a block that is {place}";
        if (fault.Length > 0)
        {
            scan.Findings.Corruption($"refcount table entry {index} ({entry:x16}) {fault}");
            scan.NeedsRebuild = true;
            return;
        }

        scan.RefcountBlocks[index] = (long)offset;
    }

    private static void RecordBlock(ImageScan scan, byte[] block, int index)
    {
        long first = FirstCluster(scan.Header, index);
        int entries = (int)Math.Min(scan.Header.RefcountBlockEntries, scan.Map.Clusters + 1 - first);
        for (int i = 0; i < entries; i++)
        {
            ulong refcount = RefcountEntries.Get(block, i, scan.Header.RefcountOrder);
            if (refcount != 0) scan.Map.SetStored(first + i, refcount);
        }
    }

    private static void Judge(ImageScan scan, long cluster, ulong stored)
    {
        ulong references = (ulong)scan.Map.References(cluster);
        if (stored == 0 && references == 0) return;
        scan.HighestCluster = cluster;
        if (stored == references) return;
        if (stored > references)
        {
            scan.Findings.Leak($"cluster {cluster} (offset {cluster << scan.Header.ClusterBits}): refcount {stored}, references {references}");
            return;
        }

        scan.Findings.Corruption($"cluster {cluster} (offset {cluster << scan.Header.ClusterBits}): refcount {stored}, references {references}");
        long index = cluster / scan.Header.RefcountBlockEntries;
        if (index >= scan.RefcountBlocks.Length || scan.RefcountBlocks[index] == 0) scan.NeedsRebuild = true;
    }
}
