namespace StoragePlugins.CrashKit.Contracts.Model;

/// <summary>The kit's own journal, which is none: a partner for formats and orderings. Stages go home one after the other, each behind a barrier.</summary>
public sealed class StagedJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new Session(home);

    private sealed class Session(IOrderedMedium home) : IJournalSession
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
            for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
            {
                if (transaction.Stage(stage).Count == 0) continue;
                // Data first, then stage by stage.
                home.Barrier();
                foreach (AfterImage image in transaction.Stage(stage)) home.Write(image.Offset, transaction.Bytes(image), image.Content);
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
}
