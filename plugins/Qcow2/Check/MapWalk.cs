using System.Buffers.Binary;
using StoragePlugins.Qcow2.Compression;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>Walks L1 and L2 tables: first all L1 tables, which count how often each L2 table is named, then each L2 table once with that weight.</summary>
internal sealed class MapWalk(ImageScan scan)
{
    /// <summary>L1 tables have up to 32 MiB; they are read in pieces.</summary>
    private const int PieceBytes = 64 << 10;

    private readonly List<(uint Cluster, uint References)> _active = [];

    public void WalkL1(long offset, int entries, string owner, bool isActive)
    {
        byte[] piece = new byte[Math.Min(PieceBytes, entries * (long)sizeof(ulong))];
        for (int first = 0; first < entries; first += PieceBytes / sizeof(ulong))
        {
            int count = Math.Min(PieceBytes / sizeof(ulong), entries - first);
            Span<byte> read = piece.AsSpan(0, count * sizeof(ulong));
            scan.ReadCluster(offset + (first * (long)sizeof(ulong)), read);
            for (int i = 0; i < count; i++)
            {
                ulong entry = BinaryPrimitives.ReadUInt64BigEndian(read[(i * sizeof(ulong))..]);
                if (entry != 0) VisitL1Entry(entry, first + i, owner, isActive);
            }
        }
    }

    /// <summary>Remembers what the active L1 table alone names; call between it and the snapshots.</summary>
    public void CollectActiveL2Tables()
    {
        foreach ((uint cluster, uint references) in NamedL2Tables()) _active.Add((cluster, references));
    }

    /// <summary>Lists all L2 tables with their weights; call after all L1 tables.</summary>
    public void CollectAllL2Tables()
    {
        int active = 0;
        foreach ((uint cluster, uint references) in NamedL2Tables())
        {
            bool isActive = active < _active.Count && _active[active].Cluster == cluster;
            scan.L2Tables.Add(new L2Reference(cluster, references, isActive ? _active[active++].References : 0));
        }

        _active.Clear();
        _active.TrimExcess();
    }

    public void WalkL2Tables()
    {
        byte[] table = new byte[scan.Header.ClusterSize];
        foreach (L2Reference l2 in scan.L2Tables)
        {
            scan.ReadCluster(l2.OffsetIn(scan.Header), table);
            for (int i = 0; i < table.Length; i += sizeof(ulong))
            {
                ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i));
                if (entry == 0) continue;
                if ((entry & Qcow2Layout.CompressedFlag) != 0) VisitCompressed(entry, l2, i / sizeof(ulong));
                else VisitPlain(entry, l2, i / sizeof(ulong));
            }
        }
    }

    /// <summary>The L2 tables that L1 entries read so far name, in ascending order.</summary>
    private IEnumerable<(uint Cluster, uint References)> NamedL2Tables()
    {
        for (long cluster = 0; cluster < scan.Map.Clusters; cluster++)
        {
            if (!scan.Map.IsTouched(cluster)) cluster |= ClusterMap.ChunkClusters - 1;
            else if ((scan.Map.Uses(cluster) & ClusterUse.L2Table) != 0) yield return ((uint)cluster, (uint)Math.Min(scan.Map.References(cluster), uint.MaxValue));
        }
    }

    private void VisitL1Entry(ulong entry, int index, string owner, bool isActive)
    {
        if ((entry & Qcow2Layout.L1ReservedMask) != 0) scan.Findings.Corruption($"{owner} L1 entry {index} ({entry:x16}) has reserved bits set");
        ulong offset = entry & Qcow2Layout.OffsetMask;
        if (!scan.IsClusterInFile(offset, out string fault))
        {
            scan.Findings.Corruption($"{owner} L1 entry {index}: its L2 table at {offset} is {fault}");
            scan.HasBrokenPointers = true;
            return;
        }

        long cluster = (long)(offset >> scan.Header.ClusterBits);
        scan.Map.Add(cluster, ClusterUse.L2Table, 1);
        if (isActive) JudgeCopiedFlag(entry, cluster, "L1 entry", index);
    }

    private void VisitPlain(ulong entry, in L2Reference l2, int index)
    {
        if ((entry & Qcow2Layout.L2ReservedMask) != 0) Report(l2, index, entry, "has reserved bits set");
        if ((entry & Qcow2Layout.ZeroFlag) != 0 && scan.Header.Version < 3) Report(l2, index, entry, "has the zero flag in an image of version 2");
        ulong offset = entry & Qcow2Layout.OffsetMask;
        if (offset == 0) return;
        if (!scan.IsClusterInFile(offset, out string fault))
        {
            Report(l2, index, entry, $"points to {offset}, which is {fault}");
            scan.HasBrokenPointers = true;
            return;
        }

        long cluster = (long)(offset >> scan.Header.ClusterBits);
        scan.Map.Add(cluster, ClusterUse.Data, l2.References);
        scan.AllocatedClusters += l2.ActiveReferences;
        if (l2.ActiveReferences > 0) JudgeCopiedFlag(entry, cluster, "L2 entry", index);
    }

    private void VisitCompressed(ulong entry, in L2Reference l2, int index)
    {
        if ((entry & Qcow2Layout.CopiedFlag) != 0)
        {
            Report(l2, index, entry, "is compressed and has the copied flag");
            scan.CopiedFlagFaults++;
        }

        CompressedExtent extent = CompressedExtent.Decode(entry, scan.Header.ClusterBits);
        // The last sector of the last compressed cluster need not be in the file: less than a cluster may be missing.
        if (extent.Offset > scan.FileLength - extent.Length + scan.Header.ClusterSize - 1)
        {
            Report(l2, index, entry, $"is compressed and lies at {extent.Offset}, beyond the end of the file");
            scan.HasBrokenPointers = true;
            return;
        }

        long last = (extent.Offset + extent.Length - 1) >> scan.Header.ClusterBits;
        for (long cluster = extent.Offset >> scan.Header.ClusterBits; cluster <= last; cluster++) scan.Map.Add(cluster, ClusterUse.Data, l2.References);
        scan.AllocatedClusters += l2.ActiveReferences;
    }

    private void JudgeCopiedFlag(ulong entry, long cluster, string kind, int index)
    {
        bool isCopied = (entry & Qcow2Layout.CopiedFlag) != 0;
        StoredRefcount stored = scan.Map.Stored(cluster);
        if (isCopied == (stored == StoredRefcount.One)) return;
        scan.Findings.Corruption($"{kind} {index} ({entry:x16}): the copied flag is {(isCopied ? "set" : "clear")} and the refcount is {stored}");
        scan.CopiedFlagFaults++;
    }

    private void Report(in L2Reference l2, int index, ulong entry, string what) =>
        scan.Findings.Corruption($"entry {index} ({entry:x16}) of the L2 table at {l2.OffsetIn(scan.Header)} {what}");
}
