using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Data;

/// <summary>Discards and zeroes guest ranges: whole clusters in the map, partial ones by writing zeros.</summary>
/// <remarks>Thread-safe. The caller holds a request of <see cref="RequestEpochs"/>.</remarks>
internal sealed class ClusterZeroer(
    Qcow2Header header, object metadataLock, MapTables maps, ClusterReader reader, ClusterRemapper remapper, ClusterWriter writer,
    AllocationGate gate, Committer committer, AppendAhead? ahead)
{
    /// <summary>Zeros are written in pieces of this size where the map cannot say "zero".</summary>
    private const int ZeroBlockBytes = 256 << 10;

    private static readonly byte[] s_zeros = new byte[ZeroBlockBytes];

    private readonly int _clusterBits = header.ClusterBits;
    private readonly int _clusterSize = header.ClusterSize;

    /// <summary>Frees the whole clusters of the range; they read as zeros afterwards, never as the backing file's bytes.</summary>
    public void Discard(long offset, long length, long diskLength)
    {
        long first = (offset + _clusterSize - 1) >> _clusterBits;
        long end = EndCluster(offset + length, diskLength);
        Remap(first, end, keepHost: false, onlyAllocated: true);
    }

    /// <summary>Makes the range read as zeros.</summary>
    public void Zero(long offset, long length, bool mayUnmap, long diskLength)
    {
        long first = (offset + _clusterSize - 1) >> _clusterBits;
        long end = EndCluster(offset + length, diskLength);
        if (header.Version < 3 || first >= end)
        {
            WriteZeros(offset, length);
            return;
        }

        WriteZeros(offset, (first << _clusterBits) - offset);
        Remap(first, end, keepHost: !mayUnmap, onlyAllocated: false);
        long tail = end << _clusterBits;
        WriteZeros(tail, offset + length - tail);
    }

    // A range that reaches the disk's end covers its last cluster wholly, though the disk may end inside that.
    private long EndCluster(long end, long diskLength) => end == diskLength ? (end + _clusterSize - 1) >> _clusterBits : end >> _clusterBits;

    private void Remap(long first, long end, bool keepHost, bool onlyAllocated)
    {
        int perSlice = maps.Cache.EntriesPerSlice;
        while (first < end)
        {
            long sliceEnd = Math.Min(end, (first | (uint)(perSlice - 1)) + 1);
            if (!IsNothingToDo(ref first, sliceEnd, end))
            {
                committer.MakeRoom();
                RemapInSlice(first, sliceEnd, keepHost, onlyAllocated);
                first = sliceEnd;
            }
        }
    }

    /// <summary>Steps over what has no L2 table and no backing file: it reads as zeros already.</summary>
    private bool IsNothingToDo(ref long first, long sliceEnd, long end)
    {
        int bits = header.ClusterBits - 3;
        long root = first >> bits;
        if ((maps.L1[root] & Qcow2Layout.OffsetMask) != 0 || reader.HasBackingAt(first << _clusterBits)) return false;
        first = Math.Min(end, Math.Max(sliceEnd, (root + 1) << bits));
        return true;
    }

    private void RemapInSlice(long first, long end, bool keepHost, bool onlyAllocated)
    {
        using AllocationGate.Pass pass = gate.Enter(first, end - 1);
        ahead?.Touched(first, end);
        L2Slice slice = remapper.PinWritable(first);
        try
        {
            lock (metadataLock)
            {
                for (long c = first; c < end; c++)
                {
                    ulong old = slice[(int)c & (slice.Count - 1)];
                    ulong entry = ZeroedEntry(reader.Decode(old, c << _clusterBits), c, keepHost, onlyAllocated, old);
                    remapper.Replace(slice, c, entry, punch: !keepHost);
                }
            }
        }
        finally
        {
            maps.Cache.Unpin(slice);
        }
    }

    private ulong ZeroedEntry(ClusterMapping mapping, long cluster, bool keepHost, bool onlyAllocated, ulong old)
    {
        if (keepHost && mapping.Copied && mapping.HostOffset != 0) return old | Qcow2Layout.ZeroFlag;
        if (mapping.Kind is ClusterKind.Zero) return old;
        bool hasBacking = reader.HasBackingAt(cluster << _clusterBits);
        if (mapping.Kind is ClusterKind.Unallocated && (onlyAllocated || !hasBacking)) return old;
        if (!hasBacking) return 0;
        // Version 2 cannot say "zero" over a backing file: a discard there leaves the data as it is.
        return header.Version >= 3 ? Qcow2Layout.ZeroFlag : old;
    }

    private void WriteZeros(long offset, long length)
    {
        while (length > 0)
        {
            reader.TryDescribe(maps.L1, offset, length, mayWait: true, out ClusterReader.Run run);
            bool isZero = run.Kind is ClusterKind.Zero or ClusterKind.ZeroAllocated || (run.Kind == ClusterKind.Unallocated && !reader.HasBackingAt(offset));
            long piece = isZero ? run.Length : Math.Min(run.Length, ZeroBlockBytes);
            if (!isZero) writer.Write(offset, s_zeros.AsSpan(0, (int)piece));
            offset += piece;
            length -= piece;
        }
    }
}
