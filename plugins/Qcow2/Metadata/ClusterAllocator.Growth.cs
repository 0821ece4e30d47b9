using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>How the allocation records grow: refcount blocks, the refcount table, and the writing of tables that nothing references yet.</summary>
internal sealed partial class ClusterAllocator
{
    private void AddRefcountBlock(long cluster)
    {
        int block = _refcounts.BlockOf(cluster);
        GrowTableTo(block);
        if (_refcounts.IsCovered(cluster)) return;
        // It stands in, and counts, one of the clusters that it covers.
        Hold(cluster);
        PlaceRefcountBlock(block, cluster);
    }

    /// <summary>Makes a refcount block in a held cluster.</summary>
    private void PlaceRefcountBlock(int block, long cluster)
    {
        if (cluster * _clusterSize > Qcow2Layout.MaxHostOffset - _clusterSize)
            throw new StorageException(StorageError.NoSpace, "allocate", _storage.Name, -1, 0, "the image has reached qcow2's largest host offset");
        try
        {
            WriteTable(cluster * _clusterSize, _clusterSize, [], ContentClass.Allocation, cluster >= _freshFrom);
        }
        catch
        {
            _held.Remove(cluster);
            throw;
        }

        _refcounts.AddBlock(block, cluster * _clusterSize);
        Confirm(cluster);
        _metadata.Add(cluster);
        _dirtyTableEntries.Add(block);
        _freshFrom = Math.Max(_freshFrom, cluster + 1);
    }

    /// <summary>Moves the refcount table to a larger place when a block index does not fit.</summary>
    private void GrowTableTo(int block)
    {
        int oldEntries = _refcounts.Table.Length;
        if (block < oldEntries) return;
        int perCluster = (int)_clusterSize / 8;
        int clusters = (int)Math.Min(((Math.Max(block + 1L, oldEntries * 3L / 2) + perCluster - 1) / perCluster), Qcow2Layout.MaxRefcountTableBytes / _clusterSize);
        if ((long)clusters * perCluster <= block)
            throw new StorageException(StorageError.NoSpace, "allocate", _storage.Name, -1, 0, "the refcount table has reached its largest size");
        ulong[] old = _refcounts.Table;
        ulong[] grown = new ulong[clusters * perCluster];
        long freshFrom = _freshFrom;
        old.CopyTo(grown, 0);
        _refcounts.Table = grown;
        long place;
        try
        {
            place = ReserveExactly(clusters);
            try
            {
                WriteTable(place * _clusterSize, clusters * _clusterSize, BigEndian(grown), ContentClass.AllocationRoot, place >= freshFrom);
            }
            catch
            {
                Cancel(place, clusters);
                throw;
            }
        }
        catch
        {
            foreach (ulong offset in grown.AsSpan(oldEntries))
            {
                if (offset != 0) _metadata.Remove((long)offset / _clusterSize);
            }

            _refcounts.Forget(oldEntries);
            _dirtyTableEntries.RemoveWhere(entry => entry >= oldEntries);
            _refcounts.Table = old;
            throw;
        }

        for (long c = place; c < place + clusters; c++)
        {
            Confirm(c);
            _metadata.Add(c);
        }

        long oldFirst = _header.RefcountTableOffset / _clusterSize;
        int oldClusters = _header.RefcountTableClusters;
        _header.RefcountTableOffset = place * _clusterSize;
        _header.RefcountTableClusters = clusters;
        _tableMoved = true;
        for (long c = oldFirst; c < oldFirst + oldClusters; c++) Release(c, punch: false);
    }

    private void TakeTableEntries(MetadataTransaction transaction)
    {
        Span<byte> bytes = stackalloc byte[12];
        foreach (int entry in _dirtyTableEntries)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes, _refcounts.Table[entry]);
            transaction.Add(CommitStage.AllocationRoot, ContentClass.AllocationRoot, _header.RefcountTableOffset + (entry * 8L), bytes[..8]);
        }

        if (_tableMoved)
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes, _header.RefcountTableOffset);
            BinaryPrimitives.WriteInt32BigEndian(bytes[8..], _header.RefcountTableClusters);
            transaction.Add(CommitStage.AllocationRoot, ContentClass.Header, Qcow2Layout.RefcountTableFieldsOffset, bytes);
        }

        _tableEntriesTaken = [.. _dirtyTableEntries];
        _dirtyTableEntries.Clear();
        _tableMovedTaken = _tableMoved;
        _tableMoved = false;
    }

    /// <summary>Writes a table that nothing references yet. What references it must not persist before it does, unless its place reads as what it is.</summary>
    private void WriteTable(long offset, long length, ReadOnlySpan<byte> content, ContentClass contentClass, bool isFresh)
    {
        byte[] bytes = new byte[length];
        content.CopyTo(bytes);
        bool readsAsItself = isFresh && content.IndexOfAnyExcept((byte)0) < 0;
        // Space for all of the table is taken now, so that a full disk is told to the request and not to a later flush.
        _storage.Write(offset, bytes, contentClass);
        if (!readsAsItself) _tablesToOrder.Add(new PublishedExtent(offset, length, PriorContent.Unknown));
    }

    private static byte[] BigEndian(ulong[] table)
    {
        byte[] bytes = new byte[table.Length * 8];
        for (int i = 0; i < table.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        return bytes;
    }
}
