namespace StoragePlugins.Ordered;

/// <summary>
/// Commits by writing home. Guest data and unreferenced new tables were written before the commit; the barrier behind the first stage
/// covers them, so that a mapping never persists before what it points to.
/// </summary>
/// <remarks>
/// A transaction whose only content is stage 0 or that publishes nothing still ends in the flush or barrier that its goal asks for. After a
/// crash a prefix of the stages is there: space may be leaked, never referenced without being allocated.
/// </remarks>
internal sealed class OrderedSession(IOrderedMedium home) : IJournalSession
{
    public IOrderedMedium Home => home;

    public long MaxTransactionBytes => long.MaxValue;

    public bool IsAtomic => false;

    public RecoveryReport Recover() => RecoveryReport.Clean;

    public void Start()
    {
    }

    public void Commit(MetadataTransaction transaction, CommitGoal goal)
    {
        bool separate = transaction.Published.Count > 0;
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            if (images.Count == 0) continue;
            // Stage 0 goes with the data; every later one waits for all before it.
            if (separate && stage > 0) home.Barrier();
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                home.Write(image.Offset, transaction.Bytes(image), image.Content);
            }

            separate = true;
        }

        if (goal == CommitGoal.Durable) home.Flush();
        else home.Barrier();
    }

    public void Checkpoint()
    {
    }

    public void Close() => home.Flush();

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }
}
