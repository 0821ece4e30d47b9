using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Data;

/// <summary>Records new L2 entries and lets go of what the old ones held. The one place where the live map changes.</summary>
internal sealed class ClusterRemapper(Qcow2Header header, object metadataLock, MapTables maps, ClusterAllocator allocator, ClusterReader reader,
    CompressedClusterReader compressed)
{
    /// <summary>The pinned slice of the L2 table, made writable, that maps a guest cluster. Unpin it through the cache.</summary>
    public L2Slice PinWritable(long guestCluster)
    {
        int index = (int)(guestCluster & (header.L2Entries - 1));
        long table;
        lock (metadataLock) table = maps.WritableTable((int)(guestCluster >> (header.ClusterBits - 3)));
        return maps.Cache.GetPinned(table, index);
    }

    /// <summary>Under the metadata lock: counts a reserved host cluster and maps it. When that fails the cluster is still reserved, and not mapped.</summary>
    public void MapReserved(L2Slice slice, long guestCluster, long hostCluster)
    {
        // Counted first: nothing may fail between the mapping and the count, or the cluster would be handed out again.
        allocator.Confirm(hostCluster);
        try
        {
            Replace(slice, guestCluster, (ulong)(hostCluster << header.ClusterBits) | Qcow2Layout.CopiedFlag, punch: false);
        }
        catch
        {
            allocator.Retract(hostCluster);
            throw;
        }
    }

    /// <summary>Under the metadata lock: replaces the entry of a guest cluster; a host cluster that both entries name stays as it is.</summary>
    /// <param name="slice">The pinned slice.</param>
    /// <param name="guestCluster">Guest cluster index.</param>
    /// <param name="entry">The new entry; a host cluster that it newly names was confirmed by the caller.</param>
    /// <param name="punch">The old cluster's space goes back to the host.</param>
    public void Replace(L2Slice slice, long guestCluster, ulong entry, bool punch)
    {
        int index = (int)(guestCluster & (header.L2Entries - 1));
        ulong old = slice[index & (slice.Count - 1)];
        if (old == entry) return;
        ClusterMapping before = reader.Decode(old, guestCluster << header.ClusterBits);
        if (before.Kind == ClusterKind.Compressed)
        {
            (long first, long last) = compressed.HostClustersOf(old);
            allocator.Release(first, last, punch);
            compressed.Forget(old);
        }
        else if (before.HostOffset != 0 && before.HostOffset != (long)(entry & Qcow2Layout.OffsetMask))
        {
            allocator.Release(before.HostOffset >> header.ClusterBits, punch);
        }

        maps.Cache.Set(slice, index, entry);
    }
}
