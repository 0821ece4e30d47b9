using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>
/// Carries out a change of snapshots: every table that becomes another one (L1, L2 tables whose copied flags change, refcount blocks and table, snapshot
/// table) is built in new clusters beside the present ones, and one write within the header's first sector makes all of them the image's at once.
/// </summary>
/// <remarks>
/// <para>In place it could not be done without a journal: a copied flag and the refcount that it repeats are in different sectors, so between their
/// writes <c>qemu-img check</c> finds an error whichever comes first (QEMU's own order has that window). Here a crash leaves the old tables or the new
/// ones, refcounts included: neither an error nor a leak, whatever the journal. The bytes written are those that QEMU writes in place.</para>
/// <para>Runs inside <see cref="Committer.RunAlone"/>: the disk is quiesced and nothing is left to commit. Memory: <see cref="RefcountDraft"/> and the L1
/// table. On failure nothing has changed.</para>
/// </remarks>
internal sealed class RootSwitch(
    Qcow2Header header, IOrderedMedium home, MapTables maps, ClusterAllocator allocator, Committer committer, MapReferences references, SnapshotChange change)
{
    private readonly ReservedClusters _places = new(allocator);
    private readonly MetadataTransaction _transaction = new();
    private readonly List<(int Root, long Table)> _moving = [];
    private readonly List<long> _newMapTables = [];
    private readonly HashSet<long> _freedTables = [];
    private readonly List<HomeRange> _written = [];
    private readonly List<HomeRange> _revokes = [];
    private readonly List<(long First, long Count)> _freed = [];
    private readonly byte[] _snapshotTable = change.Snapshots.Count == 0 ? [] : SnapshotTable.Serialize(change.Snapshots);
    private RefcountDraft _counts = null!;
    private ulong[] _refcountTable = [];
    private long _root, _createdRoot, _snapshots, _refcounts;
    private int _refcountClusters;

    /// <summary>The snapshots with the place of a created one's L1 table.</summary>
    public IReadOnlyList<Snapshot> Snapshots { get; private set; } = change.Snapshots;

    /// <summary>Runs of clusters that nothing refers to any more; for <see cref="Committer.GiveBack"/>.</summary>
    public IReadOnlyList<(long First, long Count)> Freed => _freed;

    private HeaderRoots Roots => new(
        change.Size, change.Root.Length, _root << header.ClusterBits, _refcounts << header.ClusterBits, _refcountClusters, Snapshots.Count, _snapshots << header.ClusterBits);

    /// <summary>Carries it out. Durable on return.</summary>
    public void Run()
    {
        try
        {
            ReserveAndCount();
            MoveTables();
            WriteRoots();
            WriteRefcounts();
            Commit();
        }
        catch
        {
            _places.Cancel();
            throw;
        }

        Adopt();
    }

    /// <summary>Finds room for everything that may be written. That may itself add refcount blocks: then they are committed, and counted anew.</summary>
    private void ReserveAndCount()
    {
        _root = _places.PrepareRun(ClustersFor(change.Root.Length * sizeof(ulong)));
        _createdRoot = _places.PrepareRun(change.Created is null ? 0 : ClustersFor(change.Root.Length * sizeof(ulong)));
        _snapshots = _places.PrepareRun(ClustersFor(_snapshotTable.Length));
        while (true)
        {
            if (_refcountClusters != header.RefcountTableClusters)
            {
                _places.CancelRun(_refcounts, _refcountClusters);
                _refcounts = _places.PrepareRun(_refcountClusters = header.RefcountTableClusters);
            }

            if (!allocator.HasPending)
            {
                Count();
                _places.PrepareSingles(_moving.Count + allocator.RefcountTable.Count(static block => block != 0));
                if (!allocator.HasPending) return;
            }

            committer.CommitAll();
        }
    }

    /// <summary>Counts what the maps will refer to, and finds the L2 tables whose copied flags become others.</summary>
    private void Count()
    {
        _counts = new RefcountDraft(header, home, allocator.RefcountTable);
        _moving.Clear();
        references.Walk(change.Gained, (first, last) =>
        {
            for (long cluster = first; cluster <= last; cluster++) _counts.Share(cluster);
        });
        references.Walk(change.Lost, (first, last) =>
        {
            for (long cluster = first; cluster <= last; cluster++) _counts.Release(cluster);
        });
        for (int i = 0; i < change.Root.Length; i++)
        {
            long table = references.TableOf(change.Root, i);
            if (table == 0 || !references.SetCopiedFlags(references.Read(table), i, _counts)) continue;
            _moving.Add((i, table));
        }
    }

    private void MoveTables()
    {
        // A created snapshot shares the live disk's tables.
        ulong users = change.Created is null ? 1UL : 2UL;
        foreach ((int root, long table) in _moving)
        {
            ulong[] entries = references.Read(table);
            references.SetCopiedFlags(entries, root, _counts);
            long place = _places.TakeSingle();
            Write(place, Encode(entries), ContentClass.Map);
            _newMapTables.Add(place << header.ClusterBits);
            change.Root[root] = (ulong)place << header.ClusterBits;
            _counts.Add(place, users);
            for (ulong user = 0; user < users; user++) _counts.Release(table >> header.ClusterBits);
        }
    }

    private void WriteRoots()
    {
        for (int i = 0; i < change.Root.Length; i++) change.Root[i] &= Qcow2Layout.OffsetMask;
        WriteNew(_createdRoot, change.Created is null ? [] : Encode(change.Root), ContentClass.Snapshot);
        for (int i = 0; i < change.Root.Length; i++)
        {
            long table = (long)change.Root[i];
            if (table != 0 && _counts.Count(table >> header.ClusterBits) == 1) change.Root[i] |= Qcow2Layout.CopiedFlag;
        }

        WriteNew(_root, Encode(change.Root), ContentClass.MapRoot);
        if (change.Created is { } created)
        {
            Snapshot placed = created with { L1TableOffset = _createdRoot << header.ClusterBits, L1Size = change.Root.Length };
            Snapshots = [.. change.Snapshots.Select(s => ReferenceEquals(s, created) ? placed : s)];
            // The place does not change the length.
            SnapshotTable.Serialize(Snapshots).CopyTo(_snapshotTable, 0);
        }

        WriteNew(_snapshots, _snapshotTable, ContentClass.Snapshot);
        Free(header.L1TableOffset, header.L1Size * (long)sizeof(ulong));
        if (change.Deleted is { } deleted) Free(deleted.L1TableOffset, deleted.L1Size * (long)sizeof(ulong));
        if (header.SnapshotCount > 0) Free(header.SnapshotsOffset, SnapshotTable.Read(home, header).ByteLength);
        FreeUnusedMapTables();
    }

    /// <summary>L2 tables that nobody refers to any more.</summary>
    private void FreeUnusedMapTables()
    {
        for (int i = 0; i < change.Lost.Length; i++)
        {
            long table = references.TableOf(change.Lost, i) >> header.ClusterBits;
            if (table != 0 && _counts.Count(table) == 0) _freedTables.Add(table);
        }

        foreach ((_, long table) in _moving)
        {
            if (_counts.Count(table >> header.ClusterBits) == 0) _freedTables.Add(table >> header.ClusterBits);
        }
    }

    private void WriteRefcounts()
    {
        ulong[] present = allocator.RefcountTable;
        _refcountTable = [.. present];
        for (long cluster = _refcounts; cluster < _refcounts + _refcountClusters; cluster++) _counts.Add(cluster, 1);
        Free(header.RefcountTableOffset, (long)_refcountClusters << header.ClusterBits);
        // A block that moves changes the counts of its old place and its new one, and so perhaps another block.
        for (bool settled = false; !settled;)
        {
            settled = true;
            foreach (int block in _counts.Changed.ToArray())
            {
                if (_refcountTable[block] != present[block]) continue;
                long place = _places.TakeSingle();
                _counts.Add(place, 1);
                Free((long)present[block], header.ClusterSize);
                _refcountTable[block] = (ulong)place << header.ClusterBits;
                settled = false;
            }
        }

        foreach (int block in _counts.Changed)
        {
            Write((long)_refcountTable[block] >> header.ClusterBits, _counts.BytesOf(block), ContentClass.Allocation);
            if (change.Created is null) _counts.CollectFreed(block, _freed);
        }

        Write(_refcounts, Encode(_refcountTable), ContentClass.AllocationRoot);
    }

    /// <summary>Makes the new tables the image's. What they took the place of must not be replayed over whatever comes to lie there.</summary>
    private void Commit()
    {
        foreach (HomeRange range in _written) _transaction.Publish(new PublishedExtent(range.Offset, range.Length, PriorContent.Unknown));
        _revokes.AddRange(_freedTables.Order().Select(cluster => new HomeRange(cluster << header.ClusterBits, header.ClusterSize)));
        foreach (HomeRange range in _revokes.Take(committer.MaxRevokes)) _transaction.Revoke(range);
        _transaction.Add(CommitStage.MapRoot, ContentClass.Header, HeaderRoots.Offset, Roots.Encode());
        var undo = new MetadataTransaction();
        undo.Add(CommitStage.MapRoot, ContentClass.Header, HeaderRoots.Offset, HeaderRoots.Of(header).Encode());
        committer.CommitOwn(_transaction, undo);
    }

    private void Adopt()
    {
        _places.Settle();
        Roots.ApplyTo(header);
        maps.Adopt(change.Root, _newMapTables);
        IEnumerable<long> liveTables = change.Root.Where(static entry => entry != 0).Select(entry => (long)(entry & Qcow2Layout.OffsetMask) >> header.ClusterBits);
        allocator.Adopt(_refcountTable, _places.Used.Concat(liveTables), _freedTables);
        if (committer.TryRevoke([.. _revokes.Skip(committer.MaxRevokes)])) allocator.Reuse(_freedTables);
    }

    /// <summary>A structure's clusters lose a reference.</summary>
    private void Free(long offset, long bytes)
    {
        long first = offset >> header.ClusterBits;
        for (long cluster = first; cluster < first + ClustersFor(bytes); cluster++)
        {
            _counts.Release(cluster);
            if (_counts.Count(cluster) == 0) _freedTables.Add(cluster);
        }
    }

    /// <summary>Writes a new structure, which is referenced once.</summary>
    private void WriteNew(long first, ReadOnlySpan<byte> bytes, ContentClass content)
    {
        if (bytes.IsEmpty) return;
        for (long cluster = first; cluster < first + ClustersFor(bytes.Length); cluster++) _counts.Add(cluster, 1);
        Write(first, bytes, content);
    }

    /// <summary>Writes whole clusters, so that nothing of what they held before is left behind the bytes.</summary>
    private void Write(long first, ReadOnlySpan<byte> bytes, ContentClass content)
    {
        long offset = first << header.ClusterBits;
        int whole = ClustersFor(bytes.Length) << header.ClusterBits;
        if (bytes.Length < whole)
        {
            byte[] padded = new byte[whole];
            bytes.CopyTo(padded);
            bytes = padded;
        }

        home.Write(offset, bytes, content);
        if (_written.Count > 0 && _written[^1].Offset + _written[^1].Length == offset) _written[^1] = _written[^1] with { Length = _written[^1].Length + whole };
        else _written.Add(new HomeRange(offset, whole));
    }

    private static byte[] Encode(ulong[] entries)
    {
        byte[] bytes = new byte[entries.Length * sizeof(ulong)];
        for (int i = 0; i < entries.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * sizeof(ulong)), entries[i]);
        return bytes;
    }

    private int ClustersFor(long bytes) => (int)((bytes + header.ClusterSize - 1) >> header.ClusterBits);
}
