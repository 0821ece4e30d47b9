namespace StoragePlugins;

/// <summary>One image's journal, from open to close.</summary>
/// <remarks>
/// <para><b>Order of calls.</b> <see cref="Recover"/> once, then any number of <see cref="Commit"/> and <see cref="Checkpoint"/>, then
/// <see cref="Close"/>. <see cref="IDisposable.Dispose"/> without <see cref="Close"/> abandons the session as a crash would.</para>
/// <para><b>Threading.</b> The format calls <see cref="Commit"/>, <see cref="Checkpoint"/> and <see cref="Close"/> one at a time. Data is
/// read and written through the home medium by other threads meanwhile.</para>
/// <para><b>Capabilities</b> to ask for: <see cref="IDataJournal"/>.</para>
/// </remarks>
public interface IJournalSession : ICapabilitySource, IDisposable
{
    /// <summary>The largest transaction, in bytes of after-images, that <see cref="Commit"/> takes; <see cref="long.MaxValue"/> for no limit.
    /// The format commits early rather than exceed it; worst-case growth of one operation must fit.</summary>
    long MaxTransactionBytes { get; }

    /// <summary>
    /// True when a crash leaves all of a transaction or none of it. False when it can leave a prefix of the stages: the format then
    /// tolerates leaked space, and may hold refcount decrements back until what they depend on is durable, to save a barrier.
    /// </summary>
    bool IsAtomic { get; }

    /// <summary>Replays what an earlier session committed and did not bring home. Durable on return. Running it twice equals running it once.</summary>
    /// <returns>What was found and done.</returns>
    RecoveryReport Recover();

    /// <summary>Takes a transaction, all of it or, after a crash, none.</summary>
    /// <param name="transaction">Stages of after-images. The caller may reuse it when this returns. May be empty: then only the goal counts.</param>
    /// <param name="goal">What must hold on return.</param>
    /// <remarks>
    /// <para>All guest data whose write returned before this call is covered by the goal as well, and persists before or together with the
    /// mappings that publish it (<see cref="MetadataTransaction.Published"/>).</para>
    /// <para>When it returns, reads of the home ranges show the after-images.</para>
    /// <para>A journal that does not make a transaction atomic (<c>ordered</c>) persists a prefix of its stages: a stage only after all
    /// earlier ones.</para>
    /// </remarks>
    /// <exception cref="DurabilityLostException">The ordering primitive failed; the image is poisoned.</exception>
    /// <exception cref="StorageException">A write failed; the transaction may be committed again, since after-images are idempotent.</exception>
    void Commit(MetadataTransaction transaction, CommitGoal goal);

    /// <summary>Starts bringing committed after-images home. Costs no flush of its own: their durability rides on the next flush.</summary>
    void Checkpoint();

    /// <summary>Brings everything home, gives a region inside the image back and clears the in-use mark. Durable on return.</summary>
    void Close();
}

/// <summary>What must hold when a commit returns.</summary>
public enum CommitGoal
{
    /// <summary>Order: later commits and writes persist after this one. Nothing need be durable. A guest barrier, a full metadata cache.</summary>
    Ordered = 0,

    /// <summary>Durability: a guest flush or FUA.</summary>
    Durable,
}

/// <summary>What a recovery found and did.</summary>
/// <param name="WasClean">True when nothing had to be done.</param>
/// <param name="TransactionsReplayed">Committed transactions brought home.</param>
/// <param name="BytesWritten">Bytes of after-images written home.</param>
/// <param name="Summary">One sentence for the user.</param>
public sealed record RecoveryReport(bool WasClean, int TransactionsReplayed, long BytesWritten, string Summary)
{
    /// <summary>Nothing to recover.</summary>
    public static RecoveryReport Clean { get; } = new(true, 0, 0, "nothing to recover");
}

/// <summary>Capability of a journal session: small guest writes may ride in the journal record (dual-mode journaling, FAST '16).</summary>
/// <remarks>The format puts such bytes into the transaction with <see cref="ContentClass.GuestData"/> instead of writing them home, and
/// serves reads of them itself until the commit returns.</remarks>
public interface IDataJournal
{
    /// <summary>Writes of up to this many bytes are worth journaling; 0 for none.</summary>
    int MaxInlineBytes { get; }

    /// <summary>The most guest bytes that may wait for one commit.</summary>
    long MaxPendingBytes { get; }
}
