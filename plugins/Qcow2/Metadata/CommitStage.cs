namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// The stages of a qcow2 metadata transaction: what must be durable before what. Guest data and new, still unreferenced tables are
/// written before the transaction.
/// </summary>
internal static class CommitStage
{
    /// <summary>Refcounts up, and the content of L2 tables that nothing references yet.</summary>
    public const int Allocation = 0;

    /// <summary>Refcount-table entries and the header's pointer to a new refcount table.</summary>
    public const int AllocationRoot = 1;

    /// <summary>L2 entries of tables in use.</summary>
    public const int Map = 2;

    /// <summary>L1 entries; the header's L1 and size fields.</summary>
    public const int MapRoot = 3;

    /// <summary>Refcounts down.</summary>
    public const int Release = 4;
}

/// <summary>A part of the image's metadata that contributes to commits. Both calls happen under the metadata lock, alternately.</summary>
internal interface ICommitPart
{
    /// <summary>Moves the part's changes into the transaction.</summary>
    /// <param name="transaction">Receives after-images.</param>
    /// <param name="number">The transaction's number; rises by one.</param>
    /// <param name="atomic">Whether the journal makes the transaction all or nothing.</param>
    void Take(MetadataTransaction transaction, long number, bool atomic);

    /// <summary>The commit ended. When it failed, what was taken is due again.</summary>
    void End(bool failed);
}
