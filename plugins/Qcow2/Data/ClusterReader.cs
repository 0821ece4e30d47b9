using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Data;

/// <summary>Reads guest bytes through a map: the live disk's or a snapshot's. Runs that are contiguous on the host are one read.</summary>
/// <remarks>Thread-safe, no lock on the hot path. The caller holds a request of <see cref="RequestEpochs"/>.</remarks>
internal sealed class ClusterReader(Qcow2Header header, IOrderedMedium storage, L2Cache cache, CompressedClusterReader compressed, IVirtualDisk? backing)
{
    private readonly INonBlockingMedium? _nonBlocking = storage.GetCapability<INonBlockingMedium>();
    private readonly INonBlockingDisk? _nonBlockingBacking = backing?.GetCapability<INonBlockingDisk>();
    private readonly int _clusterBits = header.ClusterBits;
    private readonly int _clusterSize = header.ClusterSize;
    private readonly int _l2Mask = header.L2Entries - 1;
    private readonly int _l2Bits = header.ClusterBits - 3;
    private readonly ulong _zeroFlag = header.Version >= 3 ? Qcow2Layout.ZeroFlag : 0;

    public void Read(ulong[] l1, long offset, Span<byte> buffer) => Read(l1, offset, buffer, mayWait: true);

    /// <summary>Reads only what is in memory. False: it would have to wait.</summary>
    public bool TryRead(ulong[] l1, long offset, Span<byte> buffer) => Read(l1, offset, buffer, mayWait: false);

    /// <summary>The run that starts at an offset: what it is, and how far it goes on being that, contiguous on the host.</summary>
    /// <param name="l1">The map's root.</param>
    /// <param name="offset">Guest offset.</param>
    /// <param name="wanted">Bytes of interest, at least 1.</param>
    /// <param name="mayWait">Whether an L2 table may be loaded.</param>
    /// <param name="run">The run, at most <paramref name="wanted"/> bytes.</param>
    /// <returns>False when the map is not in memory and <paramref name="mayWait"/> is false.</returns>
    public bool TryDescribe(ulong[] l1, long offset, long wanted, bool mayWait, out Run run)
    {
        long cluster = offset >> _clusterBits;
        int inCluster = (int)(offset & (_clusterSize - 1));
        int l2Index = (int)cluster & _l2Mask;
        long root = cluster >> _l2Bits;
        ulong l1Entry = root < l1.Length ? Volatile.Read(ref l1[root]) : 0;
        long table = (long)(l1Entry & Qcow2Layout.OffsetMask);
        if (table == 0)
        {
            long rest = ((long)(_l2Mask + 1 - l2Index) << _clusterBits) - inCluster;
            run = new Run(ClusterKind.Unallocated, 0, Math.Min(wanted, rest), 0, false);
            return true;
        }

        if (!cache.TryGet(table, l2Index, out L2Slice slice))
        {
            run = default;
            if (!mayWait) return false;
            slice = cache.Get(table, l2Index);
        }

        int index = l2Index & (cache.EntriesPerSlice - 1);
        ulong entry = slice[index];
        ClusterMapping first = Decode(entry, offset);
        long length = _clusterSize - inCluster;
        if (first.Kind != ClusterKind.Compressed)
        {
            for (int i = index + 1; length < wanted && i < slice.Count; i++, length += _clusterSize)
            {
                ClusterMapping next = Decode(slice[i], offset + length);
                if (next.Kind != first.Kind || next.Copied != first.Copied) break;
                if (first.HostOffset != 0 && next.HostOffset != first.HostOffset + inCluster + length) break;
            }
        }

        run = new Run(first.Kind, first.HostOffset == 0 ? 0 : first.HostOffset + inCluster, Math.Min(wanted, length), entry, first.Copied);
        return true;
    }

    /// <summary>Whether an unallocated cluster that starts here may show bytes of the backing file.</summary>
    public bool HasBackingAt(long offset) => backing is not null && offset < backing.Length;

    /// <summary>Whether a cluster that starts here reads as zeros whatever a host cluster holds.</summary>
    public bool ReadsAsZeros(ClusterKind kind, long offset) =>
        kind is ClusterKind.Zero or ClusterKind.ZeroAllocated || (kind == ClusterKind.Unallocated && !HasBackingAt(offset));

    /// <summary>Takes an entry apart, refusing what no valid image has.</summary>
    public ClusterMapping Decode(ulong entry, long guestOffset)
    {
        if (ClusterMapping.TryDecode(entry, _clusterSize, _zeroFlag, out ClusterMapping mapping)
            && (mapping.Kind != ClusterKind.Data || mapping.HostOffset < storage.Length)) return mapping;
        throw new StorageException(StorageError.Io, "map", storage.Name, guestOffset, _clusterSize,
            $"the image is corrupt: L2 entry {entry:x16} is not valid; run: sphost image check --repair all");
    }

    private bool Read(ulong[] l1, long offset, Span<byte> buffer, bool mayWait)
    {
        while (buffer.Length > 0)
        {
            if (!TryDescribe(l1, offset, buffer.Length, mayWait, out Run run)) return false;
            Span<byte> part = buffer[..(int)run.Length];
            switch (run.Kind)
            {
                case ClusterKind.Data when mayWait:
                    part[storage.Read(run.HostOffset, part)..].Clear();
                    break;
                case ClusterKind.Data:
                    if (_nonBlocking is null || !_nonBlocking.TryRead(run.HostOffset, part)) return false;
                    break;
                case ClusterKind.Compressed:
                    if (!mayWait) return false;
                    compressed.Read(run.Entry, (int)(offset & (_clusterSize - 1)), part);
                    break;
                case ClusterKind.Unallocated when backing is not null:
                    if (!ReadBacking(offset, part, mayWait)) return false;
                    break;
                default:
                    part.Clear();
                    break;
            }

            buffer = buffer[part.Length..];
            offset += part.Length;
        }

        return true;
    }

    private bool ReadBacking(long offset, Span<byte> part, bool mayWait)
    {
        int there = (int)Math.Clamp(backing!.Length - offset, 0, part.Length);
        part[there..].Clear();
        if (there == 0) return true;
        if (!mayWait) return _nonBlockingBacking is not null && _nonBlockingBacking.TryRead(offset, part[..there]);
        backing.Read(offset, part[..there]);
        return true;
    }

    /// <summary>A run of guest bytes with one kind of mapping.</summary>
    /// <param name="Kind">What it is.</param>
    /// <param name="HostOffset">Where its first byte lives; 0 without a host cluster.</param>
    /// <param name="Length">Bytes.</param>
    /// <param name="Entry">The first L2 entry.</param>
    /// <param name="Copied">May be written in place.</param>
    public readonly record struct Run(ClusterKind Kind, long HostOffset, long Length, ulong Entry, bool Copied);
}
