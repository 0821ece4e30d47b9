namespace StoragePlugins.Qcow2.Check;

/// <summary>What the references say a host cluster is. Two different uses of one cluster are always an error.</summary>
[Flags]
internal enum ClusterUse : ushort
{
    None = 0,
    Header = 1 << 0,
    L1Table = 1 << 1,
    L2Table = 1 << 2,
    RefcountTable = 1 << 3,
    RefcountBlock = 1 << 4,
    SnapshotTable = 1 << 5,
    Bitmap = 1 << 6,

    /// <summary>Guest data or machine state, plain or compressed.</summary>
    Data = 1 << 7,

    /// <summary>Uses that allow one reference only. L2 tables and data may be shared with snapshots, bitmaps may not but QEMU does not say so.</summary>
    Exclusive = Header | L1Table | RefcountTable | RefcountBlock | SnapshotTable,
}

/// <summary>The refcount that the image stores, as far as flags depend on it.</summary>
internal enum StoredRefcount
{
    Zero = 0,
    One = 1,
    Many = 2,
}

/// <summary>
/// References, uses and stored refcounts per host cluster: 4 bytes each, and only where something was ever recorded, so that sparse files
/// cost what they hold. Counts of 65535 and more live in a dictionary; filling it takes an image that spends more bytes on its tables.
/// </summary>
internal sealed class ClusterMap
{
    public const int ChunkClusters = 1 << ChunkBits;
    private const int ChunkBits = 12;
    private const ushort Overflowed = ushort.MaxValue;
    private const int StoredShift = 8;
    private const ushort UseMask = (1 << StoredShift) - 1;

    private readonly Chunk?[] _chunks;
    private readonly Dictionary<long, long> _overflow = [];

    /// <param name="clusters">Clusters of the file.</param>
    public ClusterMap(long clusters)
    {
        Clusters = clusters;
        // One more: a compressed cluster at the end of the file may reach beyond it.
        _chunks = new Chunk?[((clusters + 1) >> ChunkBits) + 1];
    }

    /// <summary>Clusters of the file, the last one perhaps in part.</summary>
    public long Clusters { get; }

    /// <summary>Whether anything was recorded in the chunk that this cluster belongs to.</summary>
    public bool IsTouched(long cluster) => _chunks[cluster >> ChunkBits] is not null;

    public void Add(long cluster, ClusterUse use, long references)
    {
        Chunk chunk = _chunks[cluster >> ChunkBits] ??= new Chunk();
        int at = (int)cluster & (ChunkClusters - 1);
        chunk.Facts[at] |= (ushort)use;
        Set(chunk, at, cluster, Get(chunk, at, cluster) + references);
    }

    /// <summary>Takes one reference back; the use goes with it, for uses that are recorded once.</summary>
    public void Remove(long cluster, ClusterUse use)
    {
        Chunk chunk = _chunks[cluster >> ChunkBits]!;
        int at = (int)cluster & (ChunkClusters - 1);
        chunk.Facts[at] &= (ushort)~use;
        Set(chunk, at, cluster, Get(chunk, at, cluster) - 1);
    }

    public long References(long cluster)
    {
        Chunk? chunk = _chunks[cluster >> ChunkBits];
        return chunk is null ? 0 : Get(chunk, (int)cluster & (ChunkClusters - 1), cluster);
    }

    public ClusterUse Uses(long cluster) => (ClusterUse)(Facts(cluster) & UseMask);

    public StoredRefcount Stored(long cluster) => (StoredRefcount)(Facts(cluster) >> StoredShift);

    public void SetStored(long cluster, ulong refcount)
    {
        Chunk chunk = _chunks[cluster >> ChunkBits] ??= new Chunk();
        chunk.Facts[(int)cluster & (ChunkClusters - 1)] |= (ushort)((refcount == 1 ? 1 : 2) << StoredShift);
    }

    private ushort Facts(long cluster)
    {
        Chunk? chunk = _chunks[cluster >> ChunkBits];
        return chunk is null ? (ushort)0 : chunk.Facts[(int)cluster & (ChunkClusters - 1)];
    }

    private long Get(Chunk chunk, int at, long cluster)
    {
        ushort count = chunk.Counts[at];
        return count == Overflowed ? _overflow[cluster] : count;
    }

    private void Set(Chunk chunk, int at, long cluster, long count)
    {
        if (count < Overflowed)
        {
            if (chunk.Counts[at] == Overflowed) _overflow.Remove(cluster);
            chunk.Counts[at] = (ushort)count;
            return;
        }

        chunk.Counts[at] = Overflowed;
        _overflow[cluster] = count;
    }

    private sealed class Chunk
    {
        public readonly ushort[] Counts = new ushort[ChunkClusters];
        public readonly ushort[] Facts = new ushort[ChunkClusters];
    }
}
