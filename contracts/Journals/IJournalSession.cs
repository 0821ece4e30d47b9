namespace StoragePlugins;

/// <summary>One image's journal, from open to close.</summary>
/// <remarks>
/// <para><b>Order of calls.</b> <see cref="Recover"/> once; then, unless the image is opened for reading only, <see cref="Start"/> once, any
/// number of <see cref="Commit"/> and <see cref="Checkpoint"/>, and <see cref="Close"/>. <see cref="IDisposable.Dispose"/> without
/// <see cref="Close"/> abandons the session as a crash would.</para>
/// <para><b>Threading.</b> The format calls <see cref="Commit"/>, <see cref="Checkpoint"/> and <see cref="Close"/> one at a time. Data is
/// read and written through <see cref="Home"/> by other threads meanwhile.</para>
/// </remarks>
public interface IJournalSession : ICapabilitySource, IDisposable
{
    /// <summary>
    /// The image as the format sees it from <see cref="Recover"/> on: all of its reads and writes go through here. A journal without anything
    /// to hold back returns the medium that it was given.
    /// </summary>
    /// <remarks>
    /// <para>A journal stands in the way of reads to show what it has committed and not yet brought home, and in the way of writes so that a later
    /// replay never undoes them. It may also keep small writes back and let them ride in the next record (dual-mode journaling, FAST '16): the
    /// format need not know.</para>
    /// <para><see cref="IOrderedMedium.Flush"/> and <see cref="IOrderedMedium.Barrier"/> here mean the same as committing an empty transaction.
    /// Disposing it does nothing.</para>
    /// </remarks>
    IOrderedMedium Home { get; }

    /// <summary>The largest transaction, in bytes of after-images, that <see cref="Commit"/> takes; <see cref="long.MaxValue"/> for no limit.
    /// The format commits early rather than exceed it; worst-case growth of one operation must fit.</summary>
    long MaxTransactionBytes { get; }

    /// <summary>
    /// True when a crash leaves all of a transaction or none of it. False when it can leave a prefix of the stages: the format then
    /// tolerates leaked space, and may hold refcount decrements back until what they depend on is durable, to save a barrier.
    /// </summary>
    bool IsAtomic { get; }

    /// <summary>Replays what an earlier session committed and did not bring home. Durable on return. Running it twice equals running it once.</summary>
    /// <remarks>Of an image opened for reading only nothing is written: <see cref="Home"/> shows it as replayed.</remarks>
    /// <returns>What was found and done.</returns>
    /// <exception cref="DiagnosticException">The journal is damaged in a way that a crash does not explain. Nothing was changed.</exception>
    RecoveryReport Recover();

    /// <summary>Makes ready for commits: reserves a region, sets the in-use mark. The format has read its tables. Durable on return.</summary>
    void Start();

    /// <summary>Takes a transaction, all of it or, after a crash, none.</summary>
    /// <param name="transaction">Stages of after-images. The caller may reuse it when this returns. May be empty: then only the goal counts.</param>
    /// <param name="goal">What must hold on return.</param>
    /// <remarks>
    /// <para>All guest data whose write returned before this call is covered by the goal as well, and persists before or together with the
    /// mappings that publish it (<see cref="MetadataTransaction.Published"/>).</para>
    /// <para>When it returns, reads of <see cref="Home"/> show the after-images.</para>
    /// <para>A journal that does not make a transaction atomic (<c>ordered</c>) persists a prefix of its stages: a stage only after all
    /// earlier ones.</para>
    /// </remarks>
    /// <exception cref="DurabilityLostException">The ordering primitive failed; the image is poisoned.</exception>
    /// <exception cref="StorageException">A write failed; the transaction may be committed again, since after-images are idempotent.</exception>
    void Commit(MetadataTransaction transaction, CommitGoal goal);

    /// <summary>Starts bringing committed after-images home. Costs no flush of its own: their durability rides on the next flush.</summary>
    void Checkpoint();

    /// <summary>Commits what is held back, brings everything home and clears the in-use mark, which gives a region inside the image back. Durable
    /// on return. The caller has committed its last transaction.</summary>
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
