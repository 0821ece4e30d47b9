using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>The image's refcounts as they are to become: blocks are read when they are first asked for and changed in memory only.</summary>
/// <remarks>Memory: the refcount blocks of the whole image at most, two bytes a cluster with refcounts of 16 bits. Not thread-safe.</remarks>
/// <param name="header">The image's header.</param>
/// <param name="home">Where the present blocks are, with nothing left to commit.</param>
/// <param name="table">The present refcount table.</param>
internal sealed class RefcountDraft(Qcow2Header header, IOrderedMedium home, ulong[] table)
{
    private readonly RefcountEntries _entries = new(header.RefcountOrder);
    private readonly int _blockEntryBits = header.ClusterBits + 3 - header.RefcountOrder;
    private readonly byte[]?[] _blocks = new byte[]?[table.Length];
    private readonly SortedSet<int> _changed = [];

    /// <summary>Blocks that differ from the present ones, ascending.</summary>
    public IReadOnlyCollection<int> Changed => _changed;

    public ulong Count(long cluster) => IsCovered(cluster) ? _entries.Get(Block(BlockOf(cluster)), IndexIn(cluster)) : 0;

    /// <summary>One more reference to a cluster that is referenced already.</summary>
    public void Share(long cluster)
    {
        if (Count(cluster) == 0) throw Corrupt(cluster);
        Add(cluster, 1);
    }

    /// <summary>References to a cluster, which may have none yet; its block must exist.</summary>
    /// <exception cref="DiagnosticException">SP3025: more than the refcount's width can hold.</exception>
    public void Add(long cluster, ulong references)
    {
        ulong count = Count(cluster);
        if (references > _entries.Max - count)
            throw new DiagnosticException("SP3025", "the image's refcounts cannot count one more snapshot", home.Name,
                $"at most {_entries.Max} references to a cluster, with refcounts of {header.RefcountBits} bits", $"{count + references} at {cluster << header.ClusterBits}",
                "delete snapshots, or convert the image to one with wider refcounts");
        Set(cluster, count + references);
    }

    /// <summary>One reference to a cluster is gone.</summary>
    public void Release(long cluster)
    {
        ulong count = Count(cluster);
        if (count == 0) throw Corrupt(cluster);
        Set(cluster, count - 1);
    }

    /// <summary>The bytes of a block as they are to become.</summary>
    public ReadOnlySpan<byte> BytesOf(int block) => Block(block);

    /// <summary>The runs of clusters that a changed block frees: those counted in the present block and in the draft no more.</summary>
    /// <param name="block">A changed block.</param>
    /// <param name="freed">Receives first cluster and count of each run.</param>
    public void CollectFreed(int block, List<(long First, long Count)> freed)
    {
        byte[] present = Load(block);
        long firstCluster = (long)block << _blockEntryBits;
        long start = -1;
        for (int i = 0; i < 1 << _blockEntryBits; i++)
        {
            bool isFreed = _entries.Get(present, i) != 0 && _entries.Get(Block(block), i) == 0;
            if (isFreed && start < 0) start = i;
            if (!isFreed && start >= 0)
            {
                freed.Add((firstCluster + start, i - start));
                start = -1;
            }
        }

        if (start >= 0) freed.Add((firstCluster + start, (1 << _blockEntryBits) - start));
    }

    private void Set(long cluster, ulong count)
    {
        int block = BlockOf(cluster);
        _entries.Set(Block(block), IndexIn(cluster), count);
        _changed.Add(block);
    }

    private byte[] Block(int block) => _blocks[block] ??= Load(block);

    private byte[] Load(int block)
    {
        byte[] bytes = new byte[header.ClusterSize];
        home.Read((long)table[block], bytes);
        return bytes;
    }

    private bool IsCovered(long cluster) => cluster >> _blockEntryBits < table.Length && table[cluster >> _blockEntryBits] != 0;

    private int BlockOf(long cluster) => IsCovered(cluster) ? (int)(cluster >> _blockEntryBits) : throw Corrupt(cluster);

    private int IndexIn(long cluster) => (int)(cluster & ((1L << _blockEntryBits) - 1));

    private StorageException Corrupt(long cluster) => new(StorageError.Io, "count", home.Name, cluster << header.ClusterBits, header.ClusterSize,
        "the image is corrupt: a cluster in use has refcount 0; run: sphost image check --repair all");
}
