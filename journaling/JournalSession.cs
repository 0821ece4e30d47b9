using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.Journaling;

/// <summary>
/// A redo journal's session with one image: a commit is one record in the log and at most one flush; homes are written later, many at once. Where the
/// log lives is the <see cref="IRecordLogSource"/>'s business.
/// </summary>
/// <remarks>Locks, in the order in which they may be held: commits, checkpoints, a range inside a stripe, a stripe.</remarks>
public sealed class JournalSession : IJournalSession
{
    /// <summary>
    /// How a record of at most half the log (what always finds room in one piece) is shared out: a 16th for copies of data, an 8th (with its entries
    /// a 7th) for writes that ride, the rest, a quarter, for the transaction. Its after-images of two bytes take 14 in a record, so a 28th counts.
    /// </summary>
    private const int CopiedShare = 16, DirtyShare = 8, TransactionShare = 28;

    /// <summary>A log smaller than this could not hold one commit of an image with 64 KiB clusters.</summary>
    public const long MinLogBytes = 256 << 10;

    private readonly IJournalSite _site;
    private readonly IOrderedMedium _home;
    private readonly IRecordLogSource _source;
    private readonly IInUseMark _mark;
    private readonly JournalSettings _settings;
    private readonly JournalGauge _gauge;
    private readonly DualModeChoice _dualMode;
    private readonly object _commit = new();
    private readonly PageTable _pages;
    private readonly PageReader _reader;
    private readonly PageWriter _writer;
    private readonly HomeSync _sync;
    private readonly Checkpointer _checkpointer;
    private readonly JournaledHome _journaled;
    private readonly MetadataTransaction _nothing = new();
    private readonly List<HomeRange> _copies = [];
    private Recording? _recording;
    private long _cutAt = long.MaxValue;

    /// <summary>Ties a session to an image. Nothing is read or written before <see cref="Recover"/>.</summary>
    /// <param name="site">What the format offers; it must have <see cref="IInUseMark"/>.</param>
    /// <param name="home">The image; it stays the format's.</param>
    /// <param name="source">Finds and prepares the log; the session disposes it.</param>
    /// <param name="settings">Sizes and thresholds.</param>
    /// <param name="logger">For notices of the background.</param>
    /// <param name="gauge">Shows how full the log is: the meter's of the <see cref="StrategyContext"/>; null for nobody.</param>
    /// <exception cref="DiagnosticException">SP3107: the image cannot be marked.</exception>
    public JournalSession(IJournalSite site, IOrderedMedium home, IRecordLogSource source, JournalSettings settings, ILogger logger, JournalGauge? gauge = null)
    {
        (_site, _home, _source, _settings, _gauge) = (site, home, source, settings, gauge ?? new JournalGauge());
        _mark = site.GetCapability<IInUseMark>() ?? throw new DiagnosticException("SP3107", "the image cannot be marked as in use by a journal", site.ImageName,
            fix: "use a pipeline with journal 'ordered', or convert the image to qcow2 version 3");
        _pages = new PageTable((int)Math.Clamp(settings.OverlayBytes / OverlayPage.Size, 1, int.MaxValue / 2));
        _reader = new PageReader(home, _pages);
        _sync = new HomeSync(home);
        _dualMode = new DualModeChoice(settings.DualMode);
        _writer = new PageWriter(home, _pages, _reader, _sync, settings, _dualMode, () => CommitLocked(_nothing, CommitGoal.Ordered));
        _checkpointer = new Checkpointer(home, _pages, _sync, Statistics, logger);
        _journaled = new JournaledHome(home, _pages, _reader, _writer, goal => CommitLocked(_nothing, goal), Cut);
    }

    /// <summary>What the session has done.</summary>
    public JournalStatistics Statistics { get; } = new();

    /// <inheritdoc/>
    public IOrderedMedium Home => _journaled;

    /// <inheritdoc/>
    public long MaxTransactionBytes => _recording?.MaxTransactionBytes ?? MinLogBytes / TransactionShare;

    /// <inheritdoc/>
    public bool IsAtomic => true;

    /// <inheritdoc/>
    public RecoveryReport Recover()
    {
        if (_mark.Payload is not { } payload) return RecoveryReport.Clean;
        var replay = new LogReplay(_source.Find(payload), new RecordIdentity(_site.ImageId, _site.Epoch), _site);
        replay.Scan();
        if (_site.IsReadOnly)
        {
            replay.WriteOver(_pages, _reader);
        }
        else if (replay.Records > 0)
        {
            replay.WriteHome(_home);
            _sync.Sync(CommitGoal.Durable);
        }

        return replay.Transactions == 0
            ? new RecoveryReport(true, 0, 0, "the image was not closed, and its journal holds nothing to recover")
            : new RecoveryReport(false, replay.Transactions, replay.BytesWritten,
                _site.IsReadOnly ? $"{replay.Transactions} transactions of the journal are shown, not written" : $"{replay.Transactions} transactions replayed from the journal");
    }

    /// <inheritdoc/>
    public void Start()
    {
        IRecordLog log = _source.Prepare();
        if (log.Capacity < MinLogBytes) throw new ArgumentOutOfRangeException(nameof(log), log.Capacity, $"A journal needs at least {MinLogBytes} bytes.");
        Span<byte> payload = stackalloc byte[IInUseMark.MaxPayloadBytes];
        _mark.Set(payload[.._source.WriteMarkPayload(payload)]);
        var identity = new RecordIdentity(_site.ImageId, _site.Epoch);
        _source.Marked(identity);
        _pages.LimitDirty(log.Capacity / DirtyShare);
        _checkpointer.FlushesItself = log.IsDurableOnAppend;
        lock (_commit)
        {
            _recording = new Recording(log, identity, _home, _pages, _reader, Statistics)
            {
                MaxTransactionBytes = log.Capacity / TransactionShare,
                MaxCopied = Math.Min(_settings.MaxCopied, log.Capacity / CopiedShare),
            };
            _recording.Show(_gauge);
            _writer.IsRecording = true;
        }
    }

    /// <inheritdoc/>
    public void Commit(MetadataTransaction transaction, CommitGoal goal) => CommitLocked(transaction, goal);

    /// <inheritdoc/>
    public void Checkpoint()
    {
        if (_writer.IsRecording) _checkpointer.Request();
    }

    /// <inheritdoc/>
    public void Close()
    {
        _checkpointer.Dispose();
        lock (_commit)
        {
            if (_site.IsReadOnly) return;
            _sync.ThrowIfPoisoned();
            _writer.IsRecording = false;
            // What no record holds may go home without one: it was not acknowledged, and a crash before the mark is clear replays what was.
            _checkpointer.Drain();
            _pages.ForgetEnd();
            _sync.Sync(CommitGoal.Durable);
            _recording = null;
            _gauge.Clear();
            if (_mark.Payload is null) return;
            try
            {
                _mark.Clear();
                _source.Cleared();
            }
            catch (DurabilityLostException e)
            {
                _sync.Poison(e);
                throw;
            }
        }
    }

    /// <inheritdoc/>
    public T? GetCapability<T>() where T : class => this as T;

    /// <inheritdoc/>
    public void Dispose()
    {
        _checkpointer.Dispose();
        _source.Dispose();
        _gauge.Clear();
    }

    private void CommitLocked(MetadataTransaction transaction, CommitGoal goal)
    {
        lock (_commit)
        {
            _sync.ThrowIfPoisoned();
            if (_recording is { } recording)
            {
                long began = Stopwatch.GetTimestamp();
                bool isTimed = goal == CommitGoal.Durable && _dualMode.FlushBegins();
                CommitRecord(recording, transaction, goal);
                if (isTimed) _dualMode.Flushed(Stopwatch.GetElapsedTime(began));
                recording.Show(_gauge);
            }
            else if (transaction.IsEmpty) SyncAlone(goal);
            else throw new InvalidOperationException("The session has not been started.");
        }
    }

    private void CommitRecord(Recording recording, MetadataTransaction transaction, CommitGoal goal)
    {
        _sync.TakeOverCheckpoint();
        _writer.RecordBegins();
        bool done = false;
        try
        {
            recording.Begin();
            if (transaction.Count > 0) PutDataInOrder(recording, transaction);
            recording.Gather(transaction, _cutAt);
            if (recording.IsEmpty && !(recording.NewestHasCopies && _sync.IsUnflushed)) SyncAlone(goal);
            else WriteRecord(recording, transaction, goal);
            done = true;
        }
        finally
        {
            if (!done) recording.Abandon();
        }

        if (recording.IsHalfFull && _sync.Written + 1 == recording.Tail) _checkpointer.Request();
    }

    /// <summary>
    /// What the transaction makes reachable must not show anything else after a crash: data and tables over old content. It persists
    /// before the record or together with it: by a barrier, or by a copy in the record.
    /// </summary>
    private void PutDataInOrder(Recording recording, MetadataTransaction transaction)
    {
        // A log of its own is dealt with when the record is written: it overtakes everything.
        if (recording.Log.IsDurableOnAppend || !_sync.HasUnorderedData) return;
        _copies.Clear();
        long bytes = 0;
        bool fits = true;
        for (int i = 0; fits && i < transaction.Published.Count; i++)
        {
            PublishedExtent extent = transaction.Published[i];
            if (extent.Prior != PriorContent.Unknown) continue;
            _copies.Add(new HomeRange(extent.Offset, extent.Length));
            bytes += extent.Length + RecordBuilder.EntryBytes;
            fits = bytes <= recording.MaxCopied;
        }

        if (!fits) _sync.Sync(CommitGoal.Ordered);
        else recording.Copy(_copies);
    }

    private void WriteRecord(Recording recording, MetadataTransaction transaction, CommitGoal goal)
    {
        bool durableOnAppend = recording.Log.IsDurableOnAppend;
        if (durableOnAppend && _sync.HasUnflushedData) _sync.Sync(CommitGoal.Durable);
        if (!recording.HasRoom) MakeRoom(recording);
        Append(recording, isEmpty: false);
        if (!durableOnAppend) _sync.Sync(goal);
        _checkpointer.Applied = recording.Apply(transaction);
        _cutAt = long.MaxValue;
        recording.ReleaseTail();
    }

    /// <summary>Brings everything home and appends an empty record that says so: the rest of the log is free.</summary>
    private void MakeRoom(Recording recording)
    {
        Statistics.CountFullLog();
        _checkpointer.Run();
        CommitGoal goal = recording.Log.IsDurableOnAppend ? CommitGoal.Durable : CommitGoal.Ordered;
        _sync.Sync(goal);
        Append(recording, isEmpty: true);
        if (!recording.Log.IsDurableOnAppend) _sync.Sync(goal);
        _checkpointer.Applied = recording.NewestTxid;
        recording.ReleaseTail();
    }

    private void Append(Recording recording, bool isEmpty)
    {
        try
        {
            recording.Append(_journaled.Length, _sync.Checkpointed + 1, isEmpty);
        }
        catch (DurabilityLostException e)
        {
            _sync.Poison(e);
            throw;
        }

        if (!recording.Log.IsDurableOnAppend) _sync.NoteWritten();
    }

    private void SyncAlone(CommitGoal goal)
    {
        bool needed = _recording is { Log.IsDurableOnAppend: true }
            ? goal == CommitGoal.Durable ? _sync.HasUnflushedData : _sync.HasUnorderedData
            : _sync.IsUnflushed;
        if (needed) _sync.Sync(goal);
    }

    private void Cut(long length)
    {
        lock (_commit)
        {
            _sync.ThrowIfPoisoned();
            _checkpointer.While(() =>
            {
                _home.SetLength(length);
                _pages.Cut(length);
            });
            _sync.NoteDirect();
            _cutAt = Math.Min(_cutAt, length);
        }
    }
}
