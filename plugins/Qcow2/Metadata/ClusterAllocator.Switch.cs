namespace StoragePlugins.Qcow2.Metadata;

/// <summary>What an operation needs that builds tables of its own beside the present ones. The disk is quiesced, and nothing is left to commit.</summary>
internal sealed partial class ClusterAllocator
{
    /// <summary>The refcount table as it is committed, once nothing is pending.</summary>
    public ulong[] RefcountTable => _refcounts.Table;

    /// <summary>Reserves clusters in one piece. May grow the allocation records, which has to be committed before they are read from home.</summary>
    public long ReserveRun(int clusters) => ReserveExactly(clusters);

    /// <summary>The refcounts are others from now on: those of a table that the header names since the last commit.</summary>
    /// <param name="table">The table's entries.</param>
    /// <param name="tables">Clusters of new tables; reserved until now, counted by <paramref name="table"/>.</param>
    /// <param name="freed">Clusters of tables that nothing refers to any more. Held until <see cref="Reuse(IEnumerable{long})"/>.</param>
    public void Adopt(ulong[] table, IEnumerable<long> tables, IEnumerable<long> freed)
    {
        _refcounts.Replace(table);
        foreach (long cluster in freed)
        {
            _metadata.Remove(cluster);
            _held.Add(cluster);
        }

        foreach (long cluster in tables)
        {
            _held.Remove(cluster);
            _metadata.Add(cluster);
        }

        _searchFrom = 0;
    }

    /// <summary>Clusters of former tables that no replay can touch any more become available.</summary>
    public void Reuse(IEnumerable<long> freed)
    {
        foreach (long cluster in freed) _held.Remove(cluster);
    }
}
