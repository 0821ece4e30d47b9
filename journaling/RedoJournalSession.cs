using Microsoft.Extensions.Logging;

namespace StoragePlugins.Journaling;

/// <summary>
/// A redo journal over one image: a commit is one record; homes are written later, many at once. Where records go is the <see cref="IJournalLog"/>'s.
/// </summary>
/// <remarks>
/// <para><b>Order.</b> Data that a mapping publishes is put in order before the record unless its space reads as zeros, or the log is durable at once; a
/// record is durable before anything that it holds goes home; homes are durable before the tail passes the record; a record that names the new tail
/// is durable before the space behind it is used again.</para>
/// <para><b>Failure.</b> After a failed write to the log or a failed flush nothing is committed any more, until the image is opened anew and recovered.</para>
/// <para>Locks: commit, then the checkpoint's phase. Nothing waits for a client under either.</para>
/// </remarks>
public sealed class RedoJournalSession : IJournalSession
{
    /// <summary>Checkpoint when the log is half full: the other half takes what comes while it runs.</summary>
    private const double FullEnough = 0.5;

    /// <summary>Pages leave only by checkpoints: begin while there is room for small writes.</summary>
    private const double PagesEnough = 0.75;

    /// <summary>A transaction of this share of the log fits even with a header for each two-byte image, and lets every record be placed in an empty log.</summary>
    private const int TransactionShare = 8;

    private readonly IJournalSite _site;
    private readonly IOrderedMedium _inner;
    private readonly IJournalLog _log;
    private readonly ILogger _logger;
    private readonly JournaledHome _home;
    private readonly Lock _commit = new();
    private readonly object _phaseLock = new();
    private readonly List<(long Offset, HomePage Page)> _checkpointed = [];
    private RecordBuilder _record = null!;
    private RecordBuilder _tailRecord = null!;
    private CheckpointWriter _writer = null!;
    private ILogStorage? _storage;
    private RecordRing _ring = null!;
    private uint _seed;
    private Phase _phase;
    private ulong _checkpointedUpTo;
    private bool _unsyncedRecords, _tailDue, _requested, _stopping;
    private Thread? _thread;
    private volatile Exception? _failure;

    /// <summary>Ties a log to an image. Reads nothing yet.</summary>
    /// <param name="site">The image.</param>
    /// <param name="home">Where after-images belong; stays the caller's.</param>
    /// <param name="log">Where records go; the session disposes it.</param>
    /// <param name="settings">Bounds on memory.</param>
    /// <param name="logger">For notices.</param>
    public RedoJournalSession(IJournalSite site, IOrderedMedium home, IJournalLog log, JournalSettings settings, ILogger logger)
    {
        (_site, _inner, _log, _logger) = (site, home, log, logger);
        _home = new JournaledHome(home, settings, goal => CommitOrSync(null, goal));
    }

    private enum Phase
    {
        Idle,
        Writing,
        Written,
    }

    /// <inheritdoc/>
    public IOrderedMedium Home => _home;

    /// <inheritdoc/>
    public long MaxTransactionBytes => (_storage?.Length ?? long.MaxValue) / TransactionShare;

    /// <inheritdoc/>
    public bool IsAtomic => true;

    /// <summary>Records written since <see cref="Start"/>.</summary>
    public long Records { get; private set; }

    /// <summary>Checkpoints that let the tail move.</summary>
    public long Checkpoints { get; private set; }

    /// <inheritdoc/>
    public RecoveryReport Recover()
    {
        if (_log.Find() is not { } storage) return RecoveryReport.Clean;
        return new Recovery(_site, storage, RecordHeader.Seed(_site.ImageId, _site.Epoch)).Run(_site.IsReadOnly ? null : _inner, _home);
    }

    /// <inheritdoc/>
    public void Start()
    {
        ILogStorage storage = _log.Prepare();
        _seed = RecordHeader.Seed(_site.ImageId, _site.Epoch);
        _ring = new RecordRing(storage.Length, storage.Alignment);
        _record = new RecordBuilder((int)Math.Min(int.MaxValue / 2, storage.Length));
        _tailRecord = new RecordBuilder(storage.Alignment);
        _writer = new CheckpointWriter(_inner);
        _storage = storage;
        _home.Absorbs = true;
    }

    /// <inheritdoc/>
    public void Commit(MetadataTransaction transaction, CommitGoal goal) => CommitOrSync(transaction, goal);

    /// <inheritdoc/>
    public void Checkpoint() => RequestCheckpoint();

    /// <inheritdoc/>
    public void Close()
    {
        if (_storage is null) return;
        CommitOrSync(null, CommitGoal.Durable);
        StopThread();
        lock (_commit)
        {
            _home.Absorbs = false;
            BringHome();
            _storage = null;
        }

        _log.Retire();
    }

    /// <inheritdoc/>
    public T? GetCapability<T>() where T : class => this as T;

    /// <inheritdoc/>
    public void Dispose()
    {
        StopThread();
        _log.Dispose();
    }

    private static bool HasUnknownPrior(MetadataTransaction? transaction)
    {
        for (int i = 0; i < (transaction?.Published.Count ?? 0); i++)
        {
            if (transaction!.Published[i].Prior == PriorContent.Unknown) return true;
        }

        return false;
    }

    private void CommitOrSync(MetadataTransaction? transaction, CommitGoal goal)
    {
        lock (_commit)
        {
            ThrowIfFailed();
            try
            {
                if (_storage is null) SyncHome(goal);
                else CommitLocked(transaction, goal, _storage);
            }
            catch (DurabilityLostException e)
            {
                _failure ??= e;
                throw;
            }
        }
    }

    private void CommitLocked(MetadataTransaction? transaction, CommitGoal goal, ILogStorage storage)
    {
        _record.Clear();
        _home.Gather(_record, _ring.NextTransaction, transaction);
        if (_record.IsEmpty && !(_tailDue && goal == CommitGoal.Durable))
        {
            SyncHome(goal);
            return;
        }

        if (storage.IsDurableOnWrite)
        {
            // The record would overtake data that is still on its way.
            if (_home.WroteHome) FlushHome();
        }
        else if (_home.NeedsOrder || HasUnknownPrior(transaction))
        {
            _inner.Barrier();
        }

        LogPosition tail = Append(_record, storage);
        if (storage.IsDurableOnWrite)
        {
            TailIsDurable(tail);
        }
        else if (goal == CommitGoal.Durable)
        {
            FlushHome();
            TailIsDurable(tail);
        }
        else
        {
            _inner.Barrier();
            _unsyncedRecords = true;
        }

        if (transaction is not null) Show(transaction);
        if (_ring.Fill > FullEnough || _home.Fill > PagesEnough) RequestCheckpoint();
    }

    private LogPosition Append(RecordBuilder record, ILogStorage storage)
    {
        long bytes = (record.Bytes + storage.Alignment - 1L) & -storage.Alignment;
        if (!_ring.TryPlace(bytes, storage.Alignment, out long position))
        {
            MakeRoom(storage);
            if (!_ring.TryPlace(bytes, storage.Alignment, out position))
                throw new StorageException(StorageError.NoSpace, "journal", _site.ImageName, -1, 0, $"a transaction of {bytes} bytes does not fit a log of {storage.Length}");
        }

        return AppendAt(position, record, storage);
    }

    private LogPosition AppendAt(long position, RecordBuilder record, ILogStorage storage)
    {
        LogPosition tail = _ring.TailFor(position);
        ReadOnlySpan<byte> bytes = record.Seal(_ring.NextTransaction, tail, _home.Length, _seed, storage.Alignment);
        try
        {
            storage.Write(position, bytes);
        }
        catch (Exception e)
        {
            // What the log holds there now is not known, and what was gathered is nowhere else.
            _failure ??= e;
            throw new DurabilityLostException("write of a journal record", _site.ImageName, e.Message, e);
        }

        _ring.Append(position, bytes.Length);
        Records++;
        return tail;
    }

    private void TailIsDurable(LogPosition tail)
    {
        _ring.TailIsDurable(tail);
        if (tail == _ring.Tail) _tailDue = false;
    }

    private void Show(MetadataTransaction transaction)
    {
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                _home.Show(_ring.NextTransaction - 1, image.Offset, transaction.Bytes(image));
            }
        }
    }

    private void SyncHome(CommitGoal goal)
    {
        if (goal == CommitGoal.Ordered) _inner.Barrier();
        else if (_home.WroteHome || _unsyncedRecords || _storage is null) FlushHome();
    }

    /// <summary>Makes durable what has gone home, and records. A checkpoint whose writes had returned is done with.</summary>
    private void FlushHome()
    {
        ulong done;
        lock (_phaseLock) done = _phase == Phase.Written ? _checkpointedUpTo : 0;
        _home.FlushBegins();
        _unsyncedRecords = false;
        _inner.Flush();
        if (done != 0) EndCheckpoint(done);
    }

    private void EndCheckpoint(ulong upTo)
    {
        foreach ((long offset, HomePage page) in _checkpointed)
        {
            lock (page)
            {
                bool isHome = page.Offset == offset && page.Version == page.WrittenVersion && page.Dirty == 0 && page.LastTransaction <= upTo && !page.IsBeingSuperseded;
                if (isHome) _home.Pages.Remove(page);
            }
        }

        _ring.Forget(upTo);
        _tailDue = true;
        Checkpoints++;
        lock (_phaseLock) _phase = Phase.Idle;
    }

    /// <summary>Empties the log: everything home and durable, and a record that says so.</summary>
    private void MakeRoom(ILogStorage storage)
    {
        BringHome();
        _tailRecord.Clear();
        if (!_ring.TryPlace(storage.Alignment, 0, out long position))
            throw new InvalidOperationException($"The log kept no room for its tail record: {_ring}.");
        LogPosition tail = AppendAt(position, _tailRecord, storage);
        if (!storage.IsDurableOnWrite) FlushHome();
        TailIsDurable(tail);
    }

    /// <summary>Under the commit lock: a checkpoint of all that is committed, to its end.</summary>
    private void BringHome()
    {
        lock (_phaseLock)
        {
            while (_phase == Phase.Writing) Monitor.Wait(_phaseLock);
        }

        // One that was written earlier covers less: it ends with this flush, the next covers everything.
        if (_phase == Phase.Written) FlushHome();
        BeginCheckpoint();
        WritePages();
        FlushHome();
    }

    /// <summary>Under the commit lock, in phase idle.</summary>
    private void BeginCheckpoint()
    {
        _home.Pages.Snapshot(_checkpointed);
        _checkpointedUpTo = _ring.NextTransaction - 1;
        lock (_phaseLock) _phase = Phase.Writing;
    }

    private void WritePages()
    {
        bool written = false;
        try
        {
            _writer.Write(_checkpointed);
            _home.NoteWrite();
            written = true;
        }
        finally
        {
            lock (_phaseLock)
            {
                _phase = written && _checkpointedUpTo > 0 ? Phase.Written : Phase.Idle;
                Monitor.PulseAll(_phaseLock);
            }
        }
    }

    private void RequestCheckpoint()
    {
        if (_storage is null) return;
        lock (_phaseLock)
        {
            if (_phase != Phase.Idle || _stopping) return;
            _requested = true;
            if (_thread is null)
            {
                _thread = new Thread(CheckpointInBackground) { IsBackground = true, Name = "journal checkpoint" };
                _thread.Start();
            }

            Monitor.PulseAll(_phaseLock);
        }
    }

    private void CheckpointInBackground()
    {
        while (true)
        {
            lock (_phaseLock)
            {
                while (!_requested && !_stopping) Monitor.Wait(_phaseLock);
                if (_stopping) return;
                _requested = false;
            }

            try
            {
                lock (_commit)
                {
                    if (_phase != Phase.Idle || _failure is not null || _storage is null) continue;
                    BeginCheckpoint();
                }

                WritePages();
                if (_storage is { IsDurableOnWrite: true }) FlushInBackground();
            }
            catch (StorageException e)
            {
                // The records still hold everything. The commit that finds the log full tries again, and tells its caller.
                if (e is DurabilityLostException) _failure ??= e;
                _logger.LogWarning("{Image}: a checkpoint of the journal failed: {Reason}", _site.ImageName, e.Message);
            }
        }
    }

    /// <summary>Commits to a log that is durable at once flush the home only for data: the checkpoint sees to its own.</summary>
    private void FlushInBackground()
    {
        lock (_commit)
        {
            if (_phase == Phase.Written && _failure is null) FlushHome();
        }
    }

    private void StopThread()
    {
        lock (_phaseLock)
        {
            _stopping = true;
            Monitor.PulseAll(_phaseLock);
        }

        _thread?.Join();
    }

    private void ThrowIfFailed()
    {
        if (_failure is { } failure)
            throw new DurabilityLostException("commit", _site.ImageName, $"an earlier one failed ({failure.Message}); close the disk, check the device and open it again", failure);
    }
}
