using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>The live disk's map: the L1 table in memory and the L2 tables behind the cache.</summary>
/// <remarks>L1 entries are read without a lock; everything changes under the metadata lock.</remarks>
internal sealed class MapTables : ICommitPart
{
    private readonly Qcow2Header _header;
    private readonly IOrderedMedium _storage;
    private readonly ClusterAllocator _allocator;
    private readonly HashSet<int> _dirtyRoots = [];

    /// <summary>L2 tables that no durable L1 entry references: their content needs no order of its own.</summary>
    private readonly HashSet<long> _unlinked = [];
    private List<(L2Slice, ulong[])> _slicesTaken = [];
    private int[] _rootsTaken = [];
    private bool _rootMoved, _rootMovedTaken, _sizeChanged, _sizeChangedTaken;
    private ulong[] _l1;

    public MapTables(Qcow2Header header, IOrderedMedium storage, ClusterAllocator allocator, L2Cache cache, ulong[] l1)
    {
        _header = header;
        _storage = storage;
        _allocator = allocator;
        Cache = cache;
        _l1 = l1;
    }

    public L2Cache Cache { get; }

    public ulong[] L1 => Volatile.Read(ref _l1);

    /// <summary>The L2 table for an L1 entry, writable: allocated where there is none, copied where a snapshot shares it.</summary>
    public long WritableTable(int index)
    {
        ulong entry = _l1[index];
        if ((entry & Qcow2Layout.CopiedFlag) != 0) return (long)(entry & Qcow2Layout.OffsetMask);
        byte[] content = [];
        long old = (long)(entry & Qcow2Layout.OffsetMask);
        if (old != 0)
        {
            // A shared table is never dirty: changes only go to tables of our own.
            content = new byte[_header.ClusterSize];
            _storage.Read(old, content);
        }

        long table = _allocator.AllocateTable(1, content, ContentClass.Map);
        Cache.Forget(table);
        Volatile.Write(ref _l1[index], (ulong)table | Qcow2Layout.CopiedFlag);
        _dirtyRoots.Add(index);
        _unlinked.Add(table);
        if (old != 0) _allocator.Release(old >> _header.ClusterBits, punch: false);
        return table;
    }

    /// <summary>Moves the L1 table to a place with room for more entries. The disk is quiesced.</summary>
    public void GrowRoot(int entries)
    {
        var grown = new ulong[entries];
        _l1.CopyTo(grown, 0);
        byte[] bytes = new byte[entries * 8L];
        for (int i = 0; i < entries; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), grown[i]);
        long place = _allocator.AllocateTable(ClustersFor(entries), bytes, ContentClass.MapRoot);

        long oldOffset = _header.L1TableOffset;
        int oldClusters = ClustersFor(_header.L1Size);
        _header.L1TableOffset = place;
        _header.L1Size = entries;
        Volatile.Write(ref _l1, grown);
        _rootMoved = true;
        for (long c = oldOffset >> _header.ClusterBits; oldClusters > 0; c++, oldClusters--) _allocator.Release(c, punch: false);
    }

    /// <summary>The map is another one from now on, which the header names since the last commit. The disk is quiesced, and nothing is uncommitted.</summary>
    /// <param name="l1">Its root.</param>
    /// <param name="newTables">Offsets of L2 tables that are new.</param>
    public void Adopt(ulong[] l1, IEnumerable<long> newTables)
    {
        foreach (long table in newTables) Cache.Forget(table);
        Volatile.Write(ref _l1, l1);
    }

    public void SetSize(long size)
    {
        _header.Size = size;
        _sizeChanged = true;
    }

    public void Take(MetadataTransaction transaction, long number, bool atomic)
    {
        _slicesTaken = Cache.TakeDirty(transaction, offset =>
            _unlinked.Contains(offset & -(long)_header.ClusterSize) ? CommitStage.Allocation : CommitStage.Map);
        Span<byte> bytes = stackalloc byte[12];
        foreach (int index in _dirtyRoots)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes, _l1[index]);
            transaction.Add(CommitStage.MapRoot, ContentClass.MapRoot, _header.L1TableOffset + (index * 8L), bytes[..8]);
        }

        if (_rootMoved)
        {
            BinaryPrimitives.WriteInt32BigEndian(bytes, _header.L1Size);
            BinaryPrimitives.WriteInt64BigEndian(bytes[4..], _header.L1TableOffset);
            transaction.Add(CommitStage.MapRoot, ContentClass.Header, Qcow2Layout.L1FieldsOffset, bytes);
        }

        if (_sizeChanged)
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes, _header.Size);
            transaction.Add(CommitStage.MapRoot, ContentClass.Header, Qcow2Layout.SizeFieldOffset, bytes[..8]);
        }

        _rootsTaken = [.. _dirtyRoots];
        _dirtyRoots.Clear();
        // Also for a commit that fails: it may have linked some of them.
        _unlinked.Clear();
        (_rootMovedTaken, _sizeChangedTaken) = (_rootMoved, _sizeChanged);
        _rootMoved = _sizeChanged = false;
    }

    public void End(bool failed)
    {
        Cache.EndCommit(_slicesTaken, failed);
        if (!failed) return;
        _dirtyRoots.UnionWith(_rootsTaken);
        _rootMoved |= _rootMovedTaken;
        _sizeChanged |= _sizeChangedTaken;
    }

    private int ClustersFor(int entries) => (int)(((entries * 8L) + _header.ClusterSize - 1) >> _header.ClusterBits);
}
