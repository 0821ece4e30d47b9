using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Snapshots;

namespace StoragePlugins.Qcow2.Check;

/// <summary>
/// One reading of all structures of an image. Every L2 table is read once, however many L1 entries name it, and roots (L1 tables, bitmap
/// tables) together no further than the file is long, so that hostile sharing costs no time.
/// </summary>
internal sealed class ImageScan
{
    /// <summary>As QEMU: 2^31 clusters, 128 TiB with clusters of 64 KiB. Keeps the cluster map below 8 GiB, and that only for a file really so full.</summary>
    private const long MaxClusters = 1L << 31;

    /// <summary>All L1 and bitmap tables of an image: 2^17 snapshots of a disk of 2 TiB, or 128 of the largest one possible.</summary>
    private const long MaxRootBytes = 4L << 30;

    private readonly List<(long Offset, long Length, ClusterUse Use)> _structures = [];

    private ImageScan(IStorageMedium medium, Qcow2Header header, long fileLength)
    {
        Medium = medium;
        Header = header;
        FileLength = fileLength;
        Map = new ClusterMap((fileLength + header.ClusterSize - 1) >> header.ClusterBits);
        RootBytesLeft = Math.Min(fileLength, MaxRootBytes);
    }

    public IStorageMedium Medium { get; }
    public Qcow2Header Header { get; }
    public long FileLength { get; }
    public ClusterMap Map { get; }
    public CheckFindings Findings { get; } = new();
    public List<L2Reference> L2Tables { get; } = [];

    /// <summary>Offsets of the refcount blocks that can be used, by index; 0 for none.</summary>
    public long[] RefcountBlocks { get; set; } = [];

    /// <summary>The refcount structure itself cannot be used as it is.</summary>
    public bool NeedsRebuild { get; set; }

    /// <summary>Some references could not be read at all: giving space back would give away what they hold.</summary>
    public bool IsIncomplete { get; private set; }

    /// <summary>Some pointers lead nowhere: what they led to looks unreferenced and may be all that is left of it.</summary>
    public bool HasBrokenPointers { get; set; }

    /// <summary>Corruptions that are copied flags and nothing else.</summary>
    public long CopiedFlagFaults { get; set; }

    public long AllocatedClusters { get; set; }
    public long HighestCluster { get; set; }

    /// <summary>Refcounts are exact: flags can be derived from them.</summary>
    public bool OnlyCopiedFlagsAreWrong => Findings.Corruptions == CopiedFlagFaults && Findings.Leaks == 0;

    private long RootBytesLeft { get; set; }

    public static ImageScan Run(IStorageMedium medium, Qcow2Header header)
    {
        long length = medium.Length;
        if (length >> header.ClusterBits >= MaxClusters)
            throw new DiagnosticException("SP3016", "the image has too many clusters to be checked", medium.Name, $"at most {MaxClusters} of {header.ClusterSize} bytes",
                $"{length >> header.ClusterBits}", "convert it to larger clusters, or cut a file that was extended by mistake");
        var scan = new ImageScan(medium, header, length);
        scan._structures.Add((0, header.ClusterSize, ClusterUse.Header));
        RefcountWalk.ReadStored(scan);
        scan.WalkMaps();
        BitmapWalk.Run(scan);
        scan.ReportOverlaps();
        RefcountWalk.Compare(scan);
        return scan;
    }

    /// <summary>Records a structure of its own that lies in consecutive clusters.</summary>
    public void AddRange(long offset, long length, ClusterUse use)
    {
        if (length == 0) return;
        long last = (offset + length - 1) >> Header.ClusterBits;
        for (long cluster = offset >> Header.ClusterBits; cluster <= last; cluster++) Map.Add(cluster, use, 1);
    }

    /// <summary>Whether a whole aligned cluster begins here that lies in the file, at least in part.</summary>
    public bool IsClusterInFile(ulong offset, out string fault)
    {
        fault = (offset & ((ulong)Header.ClusterSize - 1)) != 0 ? "not aligned to clusters"
            : offset >> Header.ClusterBits >= (ulong)Map.Clusters ? "beyond the end of the file" : "";
        return fault.Length == 0;
    }

    /// <summary>Reads a cluster; what the file's end cuts off is zeros.</summary>
    public void ReadCluster(long offset, Span<byte> buffer)
    {
        int got = Medium.Read(offset, buffer);
        buffer[got..].Clear();
    }

    /// <summary>Takes a root table's bytes from the budget.</summary>
    public bool MayReadRoot(long bytes, string what)
    {
        if (bytes <= RootBytesLeft)
        {
            RootBytesLeft -= bytes;
            return true;
        }

        Findings.Corruption($"{what}: it and the tables before it are larger together than the file or than {MaxRootBytes} bytes, so they overlap; not read");
        IsIncomplete = true;
        return false;
    }

    /// <summary>Records a structure whose references cannot be known.</summary>
    public void Unreadable(string what)
    {
        Findings.Corruption($"{what}");
        IsIncomplete = true;
    }

    private void WalkMaps()
    {
        var walk = new MapWalk(this);
        long l1Bytes = Header.L1Size * (long)sizeof(ulong);
        _structures.Add((Header.L1TableOffset, l1Bytes, ClusterUse.L1Table));
        if (MayReadRoot(l1Bytes, "the active L1 table")) walk.WalkL1(Header.L1TableOffset, Header.L1Size, "active", isActive: true);
        walk.CollectActiveL2Tables();
        if (Header.SnapshotCount > 0) WalkSnapshots(walk);
        walk.CollectAllL2Tables();
        // Until here the map counts L1 entries and nothing else: these counts are the weights of the L2 tables.
        foreach ((long offset, long length, ClusterUse use) in _structures) AddRange(offset, length, use);
        RefcountWalk.AddStructure(this);
        walk.WalkL2Tables();
    }

    private void WalkSnapshots(MapWalk walk)
    {
        SnapshotTable table;
        try
        {
            table = SnapshotTable.Read(Medium, Header);
        }
        catch (DiagnosticException unreadable)
        {
            Unreadable(unreadable.What);
            return;
        }

        _structures.Add((Header.SnapshotsOffset, table.ByteLength, ClusterUse.SnapshotTable));
        for (int i = 0; i < table.Snapshots.Count; i++)
        {
            Snapshot snapshot = table.Snapshots[i];
            if (Header.Version >= 3 && snapshot.DiskBytes is null) Findings.Corruption($"snapshot {i} ('{snapshot.Name}') lacks the size of its disk");
            if (snapshot.DescribeMapFault(Header, FileLength) is { } fault)
            {
                Unreadable($"snapshot {i} ('{snapshot.Name}'): {fault}");
                continue;
            }

            if (snapshot.DescribeFault(Header, FileLength) is { } sizeFault) Findings.Corruption($"snapshot {i} ('{snapshot.Name}'): {sizeFault}");

            long bytes = snapshot.L1Size * (long)sizeof(ulong);
            if (!MayReadRoot(bytes, $"the L1 table of snapshot {i}")) return;
            _structures.Add((snapshot.L1TableOffset, bytes, ClusterUse.L1Table));
            walk.WalkL1(snapshot.L1TableOffset, snapshot.L1Size, $"snapshot {i}'s", isActive: false);
        }
    }

    private void ReportOverlaps()
    {
        for (long cluster = 0; cluster <= Map.Clusters; cluster++)
        {
            if (!Map.IsTouched(cluster))
            {
                cluster |= ClusterMap.ChunkClusters - 1;
                continue;
            }

            ClusterUse uses = Map.Uses(cluster);
            bool severalUses = (uses & (uses - 1)) != 0;
            if (!severalUses && ((uses & ClusterUse.Exclusive) == 0 || Map.References(cluster) == 1)) continue;
            Findings.Corruption($"cluster {cluster} (offset {cluster << Header.ClusterBits}) is used {Map.References(cluster)} times, as {uses}: structures overlap");
            if ((uses & (ClusterUse.RefcountBlock | ClusterUse.RefcountTable)) != 0) NeedsRebuild = true;
        }
    }
}

/// <summary>An L2 table and how often L1 entries name it; 12 bytes, so that with the map's 4 a cluster costs 16 at most.</summary>
/// <param name="Cluster">Host cluster.</param>
/// <param name="References">From all L1 tables, at most 2^32 − 1.</param>
/// <param name="ActiveReferences">From the active L1 table.</param>
internal readonly record struct L2Reference(uint Cluster, uint References, uint ActiveReferences)
{
    public long OffsetIn(Qcow2Header header) => (long)Cluster << header.ClusterBits;
}
