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
    private long _number;
    private bool _ended;

    /// <summary>Under the metadata lock: an extent whose mapping goes into the next transaction.</summary>
    public void Publish(PublishedExtent extent) => _published.Add(extent);

    /// <summary>Commits, in order but not durably, when the changes that wait take too much memory. Before an operation that adds to them.</summary>
    public void MakeRoom()
    {
        if (cache.WantsCommit || allocator.PendingRefcounts > MaxPendingRefcounts || allocator.PendingBytes + cache.PendingBytes > journal.MaxTransactionBytes / 2)
            Commit(CommitGoal.Ordered);
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

    private void CommitAllLocked()
    {
        CommitOnce(CommitGoal.Durable);
        if (allocator.HasPending) CommitOnce(CommitGoal.Durable);
        ReleaseFreed();
    }

    private void CommitOnce(CommitGoal goal)
    {
        _transaction.Clear();
        lock (metadataLock)
        {
            foreach (ICommitPart part in parts) part.Take(_transaction, _number, journal.IsAtomic);
            foreach (PublishedExtent extent in _published) _transaction.Publish(extent);
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
