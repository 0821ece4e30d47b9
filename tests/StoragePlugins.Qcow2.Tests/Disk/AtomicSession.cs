namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Says that it is atomic; can reserve a region and set the mark as a journal inside the image does.</summary>
internal sealed class AtomicSession(IJournalSession inner, IJournalSite site, Action<MetadataTransaction>? committing, long regionBytes = 0) : IJournalSession
{
    public IOrderedMedium Home => inner.Home;

    public long MaxTransactionBytes => inner.MaxTransactionBytes;

    public bool IsAtomic => true;

    public RecoveryReport Recover() => inner.Recover();

    public void Start()
    {
        inner.Start();
        if (regionBytes == 0) return;
        JournalRegion region = site.GetCapability<IJournalRegionSite>()!.Reserve(regionBytes);
        inner.Home.Write(region.Offset, new byte[region.Length], ContentClass.JournalRecord);
        site.GetCapability<IInUseMark>()!.Set([]);
    }

    public void Commit(MetadataTransaction transaction, CommitGoal goal)
    {
        committing?.Invoke(transaction);
        inner.Commit(transaction, goal);
    }

    public void Checkpoint() => inner.Checkpoint();

    public void Close()
    {
        inner.Close();
        if (regionBytes != 0) site.GetCapability<IInUseMark>()!.Clear();
    }

    public T? GetCapability<T>() where T : class => null;

    public void Dispose() => inner.Dispose();
}
