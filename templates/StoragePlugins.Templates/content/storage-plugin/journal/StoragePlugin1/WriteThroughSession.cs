using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>One image's journal. Nothing is held back, so there is nothing to recover, to checkpoint or to mark.</summary>
internal sealed class WriteThroughSession(IOrderedMedium home, bool durableStages) : IJournalSession
{
    // All writes are home when they return, so the format may read and write there itself.
    public IOrderedMedium Home => home;

    public long MaxTransactionBytes => long.MaxValue;

    // A crash can leave the first stages without the others: the format then tolerates leaked space.
    public bool IsAtomic => false;

    public RecoveryReport Recover() => RecoveryReport.Clean;

    public void Start()
    {
    }

    public void Commit(MetadataTransaction transaction, CommitGoal goal)
    {
        // Data that was written before the commit persists before any stage that could make it reachable, which stage 0 never does.
        bool mustWait = transaction.Published.Count > 0;
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            if (images.Count == 0) continue;
            if (mustWait && stage > 0) Separate();
            // By index: enumerating an interface would allocate for every stage of every commit.
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                home.Write(image.Offset, transaction.Bytes(image), image.Content);
            }

            mustWait = true;
        }

        if (goal == CommitGoal.Durable) home.Flush();
        else home.Barrier();
    }

    public void Checkpoint()
    {
    }

    public void Close() => home.Flush();

    public T? GetCapability<T>() where T : class => this as T;

    // The medium stays the format's.
    public void Dispose()
    {
    }

    private void Separate()
    {
        if (durableStages) home.Flush();
        else home.Barrier();
    }
}
