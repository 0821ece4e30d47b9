using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// Refcount blocks in memory: a bounded cache of slices holding the latest values, and what differs from the last commit.
/// </summary>
/// <remarks>
/// Everything here happens under the metadata lock. A slice with uncommitted entries stays in the cache. For each changed cluster the value of
/// the last commit is kept, so that ups and downs cancel, and so that an after-image can show ups without the downs that share its byte.
/// </remarks>
internal sealed class RefcountBlocks
{
    private const int SliceBytes = 4096;

    private readonly IStorageMedium _storage;
    private readonly RefcountEntries _entries;
    private readonly int _clusterBits;
    private readonly int _blockEntryBits;
    private readonly int _sliceBytes;
    private readonly int _sliceEntryBits;
    private readonly int _capacity;
    private readonly Dictionary<long, Slice> _slices = [];
    private readonly Queue<Slice> _fifo = new();
    private readonly SortedDictionary<long, Change> _changes = [];

    public RefcountBlocks(IStorageMedium storage, Qcow2Header header, ulong[] table, long capacityBytes)
    {
        _storage = storage;
        _entries = new RefcountEntries(header.RefcountOrder);
        _clusterBits = header.ClusterBits;
        _blockEntryBits = header.ClusterBits + 3 - header.RefcountOrder;
        _sliceBytes = Math.Min(header.ClusterSize, SliceBytes);
        _sliceEntryBits = int.Log2(_sliceBytes) + 3 - header.RefcountOrder;
        _capacity = (int)Math.Clamp(capacityBytes / _sliceBytes, 4, 1 << 20);
        Table = table;
    }

    /// <summary>The refcount table: host offsets of blocks, 0 where there is none. Replaced when it grows.</summary>
    public ulong[] Table { get; set; }

    /// <summary>Clusters whose count differs from the last commit.</summary>
    public int ChangeCount => _changes.Count;

    /// <summary>The largest count that this image's width can hold.</summary>
    public ulong MaxCount => _entries.Max;

    public int BlockOf(long cluster) => (int)(cluster >> _blockEntryBits);

    public long FirstClusterOf(int block) => (long)block << _blockEntryBits;

    public bool IsCovered(long cluster)
    {
        long block = cluster >> _blockEntryBits;
        return block < Table.Length && Table[block] != 0;
    }

    public ulong Get(long cluster)
    {
        if (!IsCovered(cluster)) return 0;
        Slice slice = SliceOf(cluster);
        return _entries.Get(slice.Bytes, IndexIn(cluster));
    }

    /// <summary>Sets a count; the cluster's block must exist.</summary>
    /// <param name="cluster">Cluster index.</param>
    /// <param name="value">The new count.</param>
    /// <param name="transaction">Number of the transaction being gathered.</param>
    public void Set(long cluster, ulong value, long transaction)
    {
        Slice slice = SliceOf(cluster);
        int index = IndexIn(cluster);
        ulong before = _entries.Get(slice.Bytes, index);
        if (_changes.TryGetValue(cluster, out Change change))
        {
            _changes[cluster] = change with { ChangedIn = transaction };
        }
        else
        {
            _changes.Add(cluster, new Change(before, transaction));
            slice.Pins++;
        }

        _entries.Set(slice.Bytes, index, value);
    }

    /// <summary>The first cluster from <paramref name="from"/> on whose count is 0 or whose block does not exist.</summary>
    public long NextFree(long from)
    {
        while (IsCovered(from))
        {
            ReadOnlySpan<byte> bytes = SliceOf(from).Bytes;
            int first = IndexIn(from);
            int count = 1 << _sliceEntryBits;
            for (int i = first; i < count; i++)
            {
                if (_entries.Get(bytes, i) == 0) return from - first + i;
            }

            from += count - first;
        }

        return from;
    }

    /// <summary>Puts a new, zeroed block into the cache.</summary>
    public void AddBlock(int block, long offset)
    {
        Table[block] = (ulong)offset;
        for (long at = offset; at < offset + (1L << _clusterBits); at += _sliceBytes) Insert(new Slice(at, new byte[_sliceBytes]));
    }

    /// <summary>All blocks are others from now on. Nothing may be uncommitted.</summary>
    public void Replace(ulong[] table)
    {
        if (_changes.Count > 0) throw new InvalidOperationException($"{_changes.Count} refcounts have not been committed.");
        _slices.Clear();
        _fifo.Clear();
        Table = table;
    }

    /// <summary>Forgets blocks and changes from a block on: undoes a growth that could not be completed.</summary>
    public void Forget(int firstBlock)
    {
        long firstCluster = FirstClusterOf(firstBlock);
        foreach (long cluster in _changes.Keys.Where(c => c >= firstCluster).ToArray())
        {
            SliceOf(cluster).Pins--;
            _changes.Remove(cluster);
        }

        for (int block = firstBlock; block < Table.Length; block++)
        {
            if (Table[block] == 0) continue;
            for (long at = (long)Table[block]; at < (long)Table[block] + (1L << _clusterBits); at += _sliceBytes) _slices.Remove(at);
            Table[block] = 0;
        }
    }

    /// <summary>Moves the changes into a transaction.</summary>
    /// <param name="transaction">Receives the after-images.</param>
    /// <param name="number">Its number.</param>
    /// <param name="upStage">Stage for increments.</param>
    /// <param name="downStage">Stage for decrements; negative to hold back those of this transaction and write earlier ones with the increments.</param>
    public List<Taken> TakeChanges(MetadataTransaction transaction, long number, int upStage, int downStage)
    {
        var taken = new List<Taken>(_changes.Count);
        var held = new List<long>();
        var ups = new List<long>();
        var downs = new List<long>();
        var notUps = new List<long>();
        foreach ((long cluster, Change change) in _changes)
        {
            ulong now = Get(cluster);
            if (now < change.Committed && downStage < 0 && change.ChangedIn >= number)
            {
                held.Add(cluster);
                notUps.Add(cluster);
                continue;
            }

            taken.Add(new Taken(cluster, change, now));
            if (now == change.Committed && !change.Unsure) continue;
            bool late = now < change.Committed && downStage >= 0;
            (late ? downs : ups).Add(cluster);
            if (late) notUps.Add(cluster);
        }

        AddImages(transaction, upStage, ups, hidden: notUps);
        if (downStage >= 0) AddImages(transaction, downStage, downs, hidden: held);
        foreach (Taken item in taken) _changes.Remove(item.Cluster);
        return taken;
    }

    /// <summary>The commit ended: its slices may be evicted, or, when it failed, its changes are due again.</summary>
    /// <param name="taken">What the commit took.</param>
    /// <param name="failed">Each of its entries may or may not have reached the medium.</param>
    /// <param name="number">The transaction's number; when it failed, that of the next one too.</param>
    public void EndCommit(List<Taken> taken, bool failed, long number)
    {
        foreach (Taken item in taken)
        {
            Slice slice = SliceOf(item.Cluster);
            if (!failed)
            {
                slice.Pins--;
            }
            else
            {
                // The higher of the two counts that it may have: that is what it must not fall below too early.
                Change due = item.Change with { Committed = Math.Max(item.Change.Committed, item.Written), Unsure = true };
                if (_changes.TryGetValue(item.Cluster, out Change newer))
                {
                    due = due with { ChangedIn = newer.ChangedIn };
                    slice.Pins--;
                }

                _changes[item.Cluster] = due;
            }
        }

        if (!failed) return;
        // What was changed while the commit ran goes into the next one, which has the same number.
        foreach (long cluster in _changes.Where(c => c.Value.ChangedIn > number).Select(static c => c.Key).ToArray())
            _changes[cluster] = _changes[cluster] with { ChangedIn = number };
    }

    /// <summary>Adds after-images of some entries, neighbours joined, with other changed entries that share their bytes shown as committed. Both lists ascend.</summary>
    private void AddImages(MetadataTransaction transaction, int stage, List<long> clusters, List<long> hidden)
    {
        Span<byte> image = stackalloc byte[SliceBytes];
        int at = 0;
        int hiddenAt = 0;
        while (at < clusters.Count)
        {
            Slice slice = SliceOf(clusters[at]);
            long sliceIndex = clusters[at] >> _sliceEntryBits;
            slice.Bytes.CopyTo(image);
            for (; hiddenAt < hidden.Count && hidden[hiddenAt] >> _sliceEntryBits <= sliceIndex; hiddenAt++)
            {
                if (hidden[hiddenAt] >> _sliceEntryBits == sliceIndex)
                    _entries.Set(image, IndexIn(hidden[hiddenAt]), _changes[hidden[hiddenAt]].Committed);
            }

            while (at < clusters.Count && clusters[at] >> _sliceEntryBits == sliceIndex)
            {
                (int start, int length) = _entries.BytesOf(IndexIn(clusters[at]));
                int end = start + length;
                for (at++; at < clusters.Count && clusters[at] >> _sliceEntryBits == sliceIndex; at++)
                {
                    (int next, int nextLength) = _entries.BytesOf(IndexIn(clusters[at]));
                    if (next > end) break;
                    end = next + nextLength;
                }

                transaction.Add(stage, ContentClass.Allocation, slice.HostOffset + start, image[start..end]);
            }
        }
    }

    private int IndexIn(long cluster) => (int)(cluster & ((1L << _sliceEntryBits) - 1));

    private Slice SliceOf(long cluster)
    {
        long block = (long)Table[cluster >> _blockEntryBits];
        long inBlock = cluster & ((1L << _blockEntryBits) - 1);
        long offset = block + ((inBlock >> _sliceEntryBits) * _sliceBytes);
        if (_slices.TryGetValue(offset, out Slice? slice)) return slice;
        slice = new Slice(offset, new byte[_sliceBytes]);
        _storage.Read(offset, slice.Bytes);
        Insert(slice);
        return slice;
    }

    private void Insert(Slice slice)
    {
        // First in, first out: allocation moves forward, so the oldest slice is the least likely to be asked for again.
        for (int tries = _fifo.Count; _slices.Count >= _capacity && tries > 0; tries--)
        {
            Slice oldest = _fifo.Dequeue();
            if (oldest.Pins > 0) _fifo.Enqueue(oldest);
            else if (_slices.GetValueOrDefault(oldest.HostOffset) == oldest) _slices.Remove(oldest.HostOffset);
        }

        _slices[slice.HostOffset] = slice;
        _fifo.Enqueue(slice);
    }

    /// <summary>A cluster's change that a commit took.</summary>
    public readonly record struct Taken(long Cluster, Change Change, ulong Written);

    /// <summary>The count at the last commit, the transaction that last changed it, and whether a failed commit may have left another count on the
    /// medium, so that it has to be written even where it is the same.</summary>
    public readonly record struct Change(ulong Committed, long ChangedIn, bool Unsure = false);

    private sealed class Slice(long hostOffset, byte[] bytes)
    {
        public long HostOffset { get; } = hostOffset;

        public byte[] Bytes { get; } = bytes;

        public int Pins { get; set; }
    }
}
