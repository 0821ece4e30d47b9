namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// Gathers the image's metadata changes into one transaction at a time and hands it to the journal. Requests go on meanwhile; only the
/// gathering holds the metadata lock.
/// </summary>
internal sealed class Committer(
    object metadataLock, IJournalSession journal, IOrderedMedium storage, ClusterAllocator allocator, L2Cache cache, IReadOnlyList<ICommitPart> parts, int clusterBits, bool punchFreed)
{
    /// <summary>Refcount changes that may wait for a commit: about 100 bytes each, so 6 MiB; a discard of terabytes must not gather them all.</summary>
    private const int MaxPendingRefcounts = 1 << 16;

    private readonly Lock _commit = new();
    private readonly MetadataTransaction _transaction = new();
    private List<PublishedExtent> _published = [];
    private List<PublishedExtent> _publishedTaken = [];
    private readonly GuestOrder _order = new(journal.IsAtomic);
    private long _number;
    private bool _ended;
    private DurabilityLostException? _inDoubt;

    /// <summary>Under the metadata lock: an extent whose mapping goes into the next transaction.</summary>
    public void Publish(PublishedExtent extent) => _published.Add(extent);

    /// <summary>Commits, in order but not durably, when the changes that wait take too much memory. Before an operation that adds to them.</summary>
    public void MakeRoom()
    {
        if (cache.WantsCommit || allocator.PendingRefcounts > MaxPendingRefcounts || allocator.PendingBytes + cache.PendingBytes > journal.MaxTransactionBytes / 2)
            Commit(CommitGoal.Ordered);
    }

    /// <summary>The guest's barriers, and what is due because of them.</summary>
    public GuestOrder Order => _order;

    /// <summary>A guest's barrier: everything written before persists before everything written after. Costs nothing while all since the last commit is invisible
    /// without the next one, which is atomic.</summary>
    public void Barrier()
    {
        if (!_order.TryOwe()) Commit(CommitGoal.Ordered);
    }

    /// <summary>A guest's flush.</summary>
    public void Flush()
    {
        _order.NoteFlush();
        Commit(CommitGoal.Durable);
    }

    /// <summary>Before a write that can be seen at once, in place of what a crash would leave: what barriers put before it persists before it.</summary>
    public void BeforeVisibleWrite()
    {
        if (_order.IsOwed) Commit(CommitGoal.Ordered);
    }

    /// <summary>Commits all that has been recorded before the call.</summary>
    public void Commit(CommitGoal goal)
    {
        lock (_commit)
        {
            // Everything acknowledged is durable and the journal closed.
            if (_ended) return;
            CommitOnce(goal);
            ReleaseFreed();
        }
    }

    /// <summary>Commits until nothing is held back: decrements of the last transaction too.</summary>
    public void CommitAll()
    {
        lock (_commit) CommitAllLocked();
    }

    /// <summary>Runs an operation that has the metadata to itself: everything recorded before is committed, nothing is recorded or committed meanwhile
    /// but by the operation. The disk is quiesced.</summary>
    /// <remarks>The operation may read and write the image under the metadata lock: nobody but flushes and preallocation can be waiting for it.</remarks>
    public void RunAlone(Action operation)
    {
        lock (_commit)
        {
            CommitAllLocked();
            lock (metadataLock) operation();
        }
    }

    /// <summary>Commits an operation's own transaction, durably. For <see cref="RunAlone"/>.</summary>
    /// <param name="transaction">The transaction.</param>
    /// <param name="undo">Takes it back, should it be unknown whether it persisted.</param>
    public void CommitOwn(MetadataTransaction transaction, MetadataTransaction undo)
    {
        try
        {
            journal.Commit(transaction, CommitGoal.Durable);
        }
        catch (Exception failure) when (failure is not DurabilityLostException)
        {
            Undo(undo, failure);
            throw;
        }
    }

    /// <summary>Forbids replays of what earlier transactions said of these ranges. For <see cref="RunAlone"/>.</summary>
    /// <returns>False when the journal could not take it: the ranges must not be used again before the image is opened anew.</returns>
    public bool TryRevoke(IReadOnlyList<HomeRange> ranges)
    {
        try
        {
            for (int i = 0; i < ranges.Count;)
            {
                _transaction.Clear();
                for (int end = Math.Min(ranges.Count, i + MaxRevokes); i < end; i++) _transaction.Revoke(ranges[i]);
                journal.Commit(_transaction, CommitGoal.Ordered);
            }

            return true;
        }
        catch (StorageException failure) when (failure is not DurabilityLostException)
        {
            return false;
        }
    }

    /// <summary>Gives runs of freed clusters back to the host, where asked for. What freed them is durable, and nobody can be using them.</summary>
    public void GiveBack(IEnumerable<(long First, long Count)> runs)
    {
        if (!punchFreed || storage.GetCapability<IDeallocatingMedium>() is not { } deallocating) return;
        foreach ((long first, long count) in runs) _ = deallocating.TryPunchHole(first << clusterBits, count << clusterBits);
    }

    /// <summary>Commits all and closes the journal. The disk is quiesced; flushes that come meanwhile or later find nothing to do.</summary>
    public void CommitAllAndClose()
    {
        lock (_commit)
        {
            CommitAllLocked();
            journal.Close();
            _ended = true;
        }
    }

    /// <summary>Ranges that one transaction may revoke: a revoke takes no more room than the smallest after-image, which has two bytes.</summary>
    public int MaxRevokes => (int)Math.Clamp(journal.MaxTransactionBytes / 2, 1, MaxPendingRefcounts);

    private void Undo(MetadataTransaction undo, Exception failure)
    {
        try
        {
            journal.Commit(undo, CommitGoal.Durable);
        }
        catch (Exception second) when (second is not DurabilityLostException)
        {
            // The header may name tables that are not the present ones: whatever was committed from here on could be lost.
            _inDoubt = new DurabilityLostException("commit", storage.Name,
                $"a change of the header failed and could not be taken back ({failure.Message}; {second.Message}); open the image again", second);
        }
    }

    private void CommitAllLocked()
    {
        CommitOnce(CommitGoal.Durable);
        if (allocator.HasPending) CommitOnce(CommitGoal.Durable);
        ReleaseFreed();
    }

    private void CommitOnce(CommitGoal goal)
    {
        if (_inDoubt is { } inDoubt) throw new DurabilityLostException("commit", storage.Name, inDoubt.Message, inDoubt);
        _transaction.Clear();
        OrderDebt debt;
        lock (metadataLock)
        {
            debt = _order.Take();
            foreach (ICommitPart part in parts) part.Take(_transaction, _number, journal.IsAtomic);
            // Data from both sides of a barrier becomes visible by one record: none of it may be missing then, not even where zeros would be as good otherwise.
            foreach (PublishedExtent extent in _published) _transaction.Publish(debt.IsOwed ? extent with { Prior = PriorContent.Unknown } : extent);
            (_publishedTaken, _published) = (_published, _publishedTaken);
        }

        bool failed = true;
        try
        {
            journal.Commit(_transaction, goal);
            failed = false;
        }
        finally
        {
            _order.End(debt, failed);
            lock (metadataLock)
            {
                foreach (ICommitPart part in parts) part.End(failed);
                // After a failure the number stays: decrements held back until "an earlier" commit must not count the failed one.
                if (failed) _published.AddRange(_publishedTaken);
                else _number++;
                _publishedTaken.Clear();
            }
        }
    }

    /// <summary>Gives clusters that earlier commits freed back to the host, where asked for, and to the allocator.</summary>
    private void ReleaseFreed()
    {
        IDeallocatingMedium? deallocating = punchFreed ? storage.GetCapability<IDeallocatingMedium>() : null;
        while (true)
        {
            List<ClusterAllocator.Freed>? clusters;
            lock (metadataLock) clusters = allocator.TakeReleasable();
            if (clusters is null) return;
            if (deallocating is not null) Punch(deallocating, clusters);
            lock (metadataLock) allocator.Reuse(clusters);
        }
    }

    private void Punch(IDeallocatingMedium medium, List<ClusterAllocator.Freed> clusters)
    {
        clusters.Sort(static (a, b) => a.Cluster.CompareTo(b.Cluster));
        for (int i = 0; i < clusters.Count;)
        {
            int end = i + 1;
            if (clusters[i].Punch)
            {
                while (end < clusters.Count && clusters[end].Punch && clusters[end].Cluster == clusters[end - 1].Cluster + 1) end++;
                _ = medium.TryPunchHole(clusters[i].Cluster << clusterBits, (long)(end - i) << clusterBits);
            }

            i = end;
        }
    }
}
