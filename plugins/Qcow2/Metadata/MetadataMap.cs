namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// Host clusters that hold metadata. Guest data is never written to one of them, whatever a damaged table says.
/// </summary>
/// <remarks>Changed under the metadata lock; asked from anywhere.</remarks>
internal sealed class MetadataMap
{
    private readonly HashSet<long> _clusters = [];
    private readonly Lock _lock = new();

    public void Add(long cluster)
    {
        lock (_lock) _clusters.Add(cluster);
    }

    public bool Remove(long cluster)
    {
        lock (_lock) return _clusters.Remove(cluster);
    }

    public bool Contains(long cluster)
    {
        lock (_lock) return _clusters.Contains(cluster);
    }

    /// <summary>Adds a table's clusters.</summary>
    /// <returns>False when one of them holds metadata already: tables overlap.</returns>
    public bool TryAddRange(long firstCluster, long count)
    {
        lock (_lock)
        {
            bool all = true;
            for (long c = firstCluster; c < firstCluster + count; c++) all &= _clusters.Add(c);
            return all;
        }
    }
}
