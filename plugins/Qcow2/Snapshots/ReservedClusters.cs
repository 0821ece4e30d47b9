using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>Places for new tables, reserved in memory only: a crash or <see cref="Cancel"/> leaves nothing behind.</summary>
internal sealed class ReservedClusters(ClusterAllocator allocator)
{
    private readonly List<(long First, int Count)> _runs = [];
    private readonly Queue<long> _singles = new();
    private readonly List<long> _used = [];

    /// <summary>Every cluster that was handed out.</summary>
    public IReadOnlyList<long> Used => _used;

    /// <summary>Sees to it that so many single clusters can be taken.</summary>
    public void PrepareSingles(int wanted)
    {
        while (_singles.Count < wanted)
        {
            long first = allocator.Reserve(wanted - _singles.Count, out int count, out _);
            for (long cluster = first; cluster < first + count; cluster++) _singles.Enqueue(cluster);
        }
    }

    /// <summary>A single cluster of those prepared.</summary>
    public long TakeSingle()
    {
        long cluster = _singles.Dequeue();
        _used.Add(cluster);
        return cluster;
    }

    /// <summary>Reserves clusters in one piece.</summary>
    /// <returns>The first cluster; 0 for no clusters.</returns>
    public long PrepareRun(int clusters)
    {
        if (clusters == 0) return 0;
        long first = allocator.ReserveRun(clusters);
        _runs.Add((first, clusters));
        return first;
    }

    /// <summary>Gives back a run that was prepared and turned out to be too short.</summary>
    public void CancelRun(long first, int clusters)
    {
        if (clusters == 0) return;
        _runs.Remove((first, clusters));
        allocator.Cancel(first, clusters);
    }

    /// <summary>The runs are used; what is left of the single clusters is given back.</summary>
    public void Settle()
    {
        foreach ((long first, int count) in _runs)
        {
            for (long cluster = first; cluster < first + count; cluster++) _used.Add(cluster);
        }

        CancelSingles();
    }

    /// <summary>Gives everything back.</summary>
    public void Cancel()
    {
        foreach ((long first, int count) in _runs) allocator.Cancel(first, count);
        foreach (long cluster in _used) allocator.Cancel(cluster, 1);
        CancelSingles();
    }

    private void CancelSingles()
    {
        while (_singles.TryDequeue(out long cluster)) allocator.Cancel(cluster, 1);
    }
}
