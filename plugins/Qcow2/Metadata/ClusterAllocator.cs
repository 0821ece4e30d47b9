using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// Hands out host clusters and takes them back. A cluster is reserved in memory first, gets its refcount when what it holds has been written,
/// and after it was freed is not handed out again before the commit that freed it and before every request that may still use its old mapping.
/// </summary>
/// <remarks>Everything happens under the metadata lock unless said otherwise. Grows refcount blocks and the refcount table as needed.</remarks>
internal sealed partial class ClusterAllocator : ICommitPart
{
    private readonly Qcow2Header _header;
    private readonly IOrderedMedium _storage;
    private readonly RefcountBlocks _refcounts;
    private readonly MetadataMap _metadata;
    private readonly RequestEpochs _epochs;
    private readonly long _clusterSize;

    /// <summary>Clusters that look free but must not be handed out: reserved, or freed and not yet released.</summary>
    private readonly HashSet<long> _held = [];
    private readonly Queue<(long Epoch, List<Freed> Clusters)> _graceful = new();
    private readonly HashSet<int> _dirtyTableEntries = [];
    private readonly List<PublishedExtent> _tablesToOrder = [];
    private readonly List<PublishedExtent> _tablesTaken = [];
    private List<Freed> _freed = [];
    private List<Freed> _freedTaken = [];
    private List<HomeRange> _revokes = [];
    private List<HomeRange> _revokesTaken = [];
    private List<RefcountBlocks.Taken> _refcountsTaken = [];
    private int[] _tableEntriesTaken = [];
    private bool _tableMoved, _tableMovedTaken;
    private long _searchFrom;
    private long _freshFrom;
    private long _transaction;
    private long _trimFrom;

    public ClusterAllocator(Qcow2Header header, IOrderedMedium storage, RefcountBlocks refcounts, MetadataMap metadata, RequestEpochs epochs)
    {
        _header = header;
        _storage = storage;
        _refcounts = refcounts;
        _metadata = metadata;
        _epochs = epochs;
        _clusterSize = header.ClusterSize;
        _freshFrom = _trimFrom = (storage.Length + _clusterSize - 1) >> header.ClusterBits;
    }

    /// <summary>True while decrements wait for a later commit, or freed clusters for their release.</summary>
    public bool HasPending => _refcounts.ChangeCount > 0 || _freed.Count > 0;

    /// <summary>Clusters whose count differs from the last commit.</summary>
    public int PendingRefcounts => _refcounts.ChangeCount;

    /// <summary>Bytes of after-images that the next commit may need for refcounts; an upper bound.</summary>
    public long PendingBytes => PendingRefcounts * 8L;

    public ulong CountOf(long cluster) => _refcounts.Get(cluster);

    /// <summary>Reserves up to <paramref name="wanted"/> contiguous clusters.</summary>
    /// <param name="wanted">At least 1.</param>
    /// <param name="count">How many were found in one piece, at least 1.</param>
    /// <param name="isFresh">The clusters lie beyond everything that was ever used: they read as zeros.</param>
    /// <returns>The first cluster's index.</returns>
    public long Reserve(int wanted, out int count, out bool isFresh)
    {
        while (true)
        {
            long cluster = _refcounts.NextFree(_searchFrom);
            if (_held.Contains(cluster))
            {
                _searchFrom = cluster + 1;
                continue;
            }

            if (!_refcounts.IsCovered(cluster))
            {
                AddRefcountBlock(cluster);
                continue;
            }

            count = 1;
            while (count < wanted && IsFree(cluster + count)) count++;
            isFresh = cluster >= _freshFrom;
            for (long c = cluster; c < cluster + count; c++) Hold(c);
            _freshFrom = Math.Max(_freshFrom, cluster + count);
            _searchFrom = cluster + count;
            return cluster;
        }
    }

    /// <summary>Reserves contiguous clusters beyond everything that was ever used.</summary>
    /// <param name="wanted">At least 1.</param>
    /// <param name="count">How many one refcount block still counts, at least 1.</param>
    public long ReserveFresh(int wanted, out int count)
    {
        while (!IsFree(_freshFrom))
        {
            // A damaged image may count clusters behind the end of its file.
            if (_refcounts.IsCovered(_freshFrom)) _freshFrom++;
            else AddRefcountBlock(_freshFrom);
        }

        long first = _freshFrom;
        count = 1;
        while (count < wanted && IsFree(first + count)) count++;
        for (long c = first; c < first + count; c++) Hold(c);
        _freshFrom = first + count;
        return first;
    }

    /// <summary>Keeps clusters for the image's journal without counting them.</summary>
    public void SetAside(long first, long count)
    {
        for (long c = first; c < first + count; c++)
        {
            _held.Add(c);
            _metadata.Add(c);
        }

        _trimFrom = Math.Min(_trimFrom, first);
        _freshFrom = Math.Max(_freshFrom, first + count);
    }

    /// <summary>Finds contiguous free clusters for the image's journal, the first that fit, and sets them aside.</summary>
    /// <returns>The first cluster.</returns>
    public long ReserveRegion(long count)
    {
        // Cluster 0 is the header's.
        for (long from = _refcounts.NextFree(1); _refcounts.IsCovered(from); from = _refcounts.NextFree(from))
        {
            long end = from;
            while (end < from + count && IsFree(end)) end++;
            if (end == from + count)
            {
                SetAside(from, count);
                return from;
            }

            from = end + 1;
        }

        long first = _freshFrom;
        for (long c = first; c < first + count; c++)
        {
            if (_refcounts.Get(c) != 0 || _held.Contains(c)) first = c + 1;
        }

        SetAside(first, count);
        return first;
    }

    /// <summary>Ends <see cref="SetAside"/>.</summary>
    public void GiveBack(long first, long count)
    {
        for (long c = first; c < first + count; c++)
        {
            _held.Remove(c);
            _metadata.Remove(c);
        }

        _searchFrom = Math.Min(_searchFrom, first);
        GivenBack = (first, count);
    }

    /// <summary>Clusters last given back: their space is the host's again when the image closes.</summary>
    public (long First, long Count) GivenBack { get; private set; }

    /// <summary>The end of what is in use, in clusters, looking back no further than to where this session's growth began.</summary>
    public long UsedEnd()
    {
        long end = Math.Max((_storage.Length + _clusterSize - 1) / _clusterSize, _freshFrom);
        while (end > _trimFrom && _refcounts.Get(end - 1) == 0) end--;
        return end;
    }

    /// <summary>Gives reserved clusters back unused. Nothing on the medium refers to them.</summary>
    public void Cancel(long cluster, int count)
    {
        for (long c = cluster; c < cluster + count; c++) _held.Remove(c);
        _searchFrom = Math.Min(_searchFrom, cluster);
    }

    /// <summary>A reserved cluster is now referenced once.</summary>
    public void Confirm(long cluster)
    {
        _refcounts.Set(cluster, 1, _transaction);
        _held.Remove(cluster);
    }

    /// <summary>Takes back a <see cref="Confirm"/> of the present transaction: the cluster is reserved again. Cannot fail.</summary>
    public void Retract(long cluster)
    {
        _held.Add(cluster);
        _refcounts.Set(cluster, 0, _transaction);
    }

    /// <summary>One reference to each of some clusters is gone. When one of the counts is wrong or cannot be read, none is changed.</summary>
    public void Release(long first, long last, bool punch)
    {
        for (long c = first; c <= last; c++) RequireCounted(c);
        for (long c = first; c <= last; c++) Release(c, punch);
    }

    /// <summary>One reference to a cluster is gone.</summary>
    /// <param name="cluster">Cluster index.</param>
    /// <param name="punch">Give its space back to the host when nobody references it any more.</param>
    public void Release(long cluster, bool punch)
    {
        ulong count = RequireCounted(cluster);
        _refcounts.Set(cluster, count - 1, _transaction);
        if (count > 1) return;
        _held.Add(cluster);
        _freed.Add(new Freed(cluster, punch));
        if (_metadata.Remove(cluster)) _revokes.Add(new HomeRange(cluster * _clusterSize, _clusterSize));
    }

    /// <summary>Reserves, zeroes or copies into, and confirms a cluster for a table that nothing references yet.</summary>
    public long AllocateTable(int clusters, ReadOnlySpan<byte> content, ContentClass contentClass)
    {
        long freshFrom = _freshFrom;
        long first = ReserveExactly(clusters);
        try
        {
            WriteTable(first * _clusterSize, clusters * _clusterSize, content, contentClass, first >= freshFrom);
        }
        catch
        {
            Cancel(first, clusters);
            throw;
        }

        for (long c = first; c < first + clusters; c++)
        {
            Confirm(c);
            _metadata.Add(c);
        }

        return first * _clusterSize;
    }

    public void Take(MetadataTransaction transaction, long number, bool atomic)
    {
        _refcountsTaken = _refcounts.TakeChanges(transaction, number, CommitStage.Allocation, atomic ? CommitStage.Release : -1);
        TakeTableEntries(transaction);
        foreach (HomeRange range in _revokes) transaction.Revoke(range);
        foreach (PublishedExtent table in _tablesToOrder) transaction.Publish(table);
        _tablesTaken.AddRange(_tablesToOrder);
        _tablesToOrder.Clear();
        (_freedTaken, _freed) = (_freed, _freedTaken);
        (_revokesTaken, _revokes) = (_revokes, _revokesTaken);
        _transaction = number + 1;
    }

    public void End(bool failed)
    {
        if (failed) _transaction--;
        _refcounts.EndCommit(_refcountsTaken, failed, _transaction);
        if (failed)
        {
            _dirtyTableEntries.UnionWith(_tableEntriesTaken);
            _tableMoved |= _tableMovedTaken;
            _freed.AddRange(_freedTaken);
            _revokes.AddRange(_revokesTaken);
            _tablesToOrder.AddRange(_tablesTaken);
        }
        else if (_freedTaken.Count > 0)
        {
            _graceful.Enqueue((_epochs.Current, _freedTaken));
            _freedTaken = [];
        }

        _freedTaken.Clear();
        _revokesTaken.Clear();
        _tablesTaken.Clear();
    }

    /// <summary>Takes out freed clusters that nobody can still be using. They stay held until <see cref="Reuse"/>.</summary>
    public List<Freed>? TakeReleasable() =>
        _graceful.TryPeek(out (long Epoch, List<Freed> Clusters) batch) && _epochs.HasPassed(batch.Epoch) ? _graceful.Dequeue().Clusters : null;

    /// <summary>Makes released clusters available.</summary>
    public void Reuse(List<Freed> clusters)
    {
        foreach (Freed freed in clusters)
        {
            _held.Remove(freed.Cluster);
            _searchFrom = Math.Min(_searchFrom, freed.Cluster);
        }
    }

    private ulong RequireCounted(long cluster)
    {
        ulong count = _refcounts.Get(cluster);
        return count > 0 ? count : throw new StorageException(StorageError.Io, "free", _storage.Name, cluster * _clusterSize, _clusterSize,
            "the image is corrupt: the cluster's refcount is 0 already; run: sphost image check --repair all");
    }

    private void Hold(long cluster)
    {
        if (_metadata.Contains(cluster))
            throw new StorageException(StorageError.Io, "allocate", _storage.Name, cluster * _clusterSize, _clusterSize,
                "the image is corrupt: a metadata cluster has refcount 0; run: sphost image check --repair all");
        _held.Add(cluster);
    }

    private bool IsFree(long cluster) => _refcounts.IsCovered(cluster) && _refcounts.Get(cluster) == 0 && !_held.Contains(cluster);

    private long ReserveExactly(int clusters)
    {
        if (clusters >= _header.RefcountBlockEntries) return ReserveBeyondEverything(clusters);
        var tooShort = new List<(long Cluster, int Count)>();
        try
        {
            while (true)
            {
                long first = Reserve(clusters, out int count, out _);
                if (count == clusters) return first;
                tooShort.Add((first, count));
            }
        }
        finally
        {
            foreach ((long cluster, int count) in tooShort) Cancel(cluster, count);
        }
    }

    /// <summary>
    /// Reserves a run longer than what one refcount block counts. A block that stands in its own range would cut such a run, so the
    /// blocks of the run are placed before it.
    /// </summary>
    private long ReserveBeyondEverything(int clusters)
    {
        var places = new Queue<long>();
        for (int i = (clusters / _header.RefcountBlockEntries) + 1; i > 0; i--) places.Enqueue(Reserve(1, out _, out _));
        // Behind the journal's region as well, which no block need count.
        int firstBlock = Math.Max(Array.FindLastIndex(_refcounts.Table, static entry => entry != 0) + 1, _refcounts.BlockOf(_freshFrom - 1) + 1);
        int lastBlock = firstBlock + ((clusters - 1) / _header.RefcountBlockEntries);
        GrowTableTo(lastBlock);
        // Growing the table may itself have added blocks.
        while (firstBlock <= lastBlock && _refcounts.Table[firstBlock] != 0)
        {
            firstBlock++;
            lastBlock++;
            GrowTableTo(lastBlock);
        }

        for (int block = firstBlock; block <= lastBlock; block++) PlaceRefcountBlock(block, places.Dequeue());
        foreach (long unused in places) Cancel(unused, 1);
        long first = _refcounts.FirstClusterOf(firstBlock);
        for (long c = first; c < first + clusters; c++) Hold(c);
        _freshFrom = Math.Max(_freshFrom, first + clusters);
        return first;
    }

    /// <summary>A cluster that nobody references any more.</summary>
    public readonly record struct Freed(long Cluster, bool Punch);
}
