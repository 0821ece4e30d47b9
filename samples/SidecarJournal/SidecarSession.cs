using Microsoft.Extensions.Logging;
using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>One image's journal: data is flushed, the transaction is one record and flushed, then it goes home at leisure.</summary>
/// <remarks>
/// A commit costs two flushes, one of the image and one of the log, and none of the stages costs any. The log is emptied when it is full, or when something is about
/// to be written where it holds an after-image; the image is flushed before. Once a flush of the log failed nothing is promised any more: everything but reads throws.
/// </remarks>
internal sealed class SidecarSession : IJournalSession
{
    /// <summary>The mark carries it: layout of log and records.</summary>
    private const byte Version = 1;

    private const int MarkBytes = 17;

    private readonly IJournalSite _site;
    private readonly IInUseMark _mark;
    private readonly IOrderedMedium _home;
    private readonly StrategyContext _context;
    private readonly SidecarOptions _options;
    private readonly string _location;
    private readonly Lock _committing = new();
    private readonly LoggedPages _logged = new();
    private Guid _marked;
    private SidecarLog? _log;
    private bool _isHomeBehind;
    private volatile Exception? _failure;

    public SidecarSession(IJournalSite site, IInUseMark mark, IOrderedMedium home, StrategyContext context)
    {
        (_site, _mark, _home, _context) = (site, mark, home, context);
        _options = context.Options<SidecarOptions>();
        if (_options.Suffix.Contains('/'))
            throw new DiagnosticException("SIDECAR1005", "the option suffix names another folder", site.ImageName, "no '/'", $"'{_options.Suffix}'", "a journal lies beside its image");
        _location = site.ImageName + _options.Suffix;
        Home = new SidecarHome(home, this);
    }

    public IOrderedMedium Home { get; private set; }

    // Images of a single byte are the worst case: each comes with its header.
    public long MaxTransactionBytes => (_options.LogSize - LogHeader.AreaBytes - LogRecord.HeaderBytes - LogRecord.SectorBytes) / (LogRecord.ImageHeaderBytes + 1);

    public bool IsAtomic => true;

    public RecoveryReport Recover()
    {
        if (_mark.Payload is not { } payload) return RecoveryReport.Clean;
        if (payload.Length < MarkBytes || payload.Span[0] != Version)
            throw new DiagnosticException("SIDECAR1006", "the image's journal is of a version that this plugin does not know", _site.ImageName, $"version {Version}", payload.Length == 0 ? "none" : $"version {payload.Span[0]}");
        _marked = new Guid(payload.Span[1..MarkBytes]);
        _log = SidecarLog.TryOpen(_context, _location, _site.IsReadOnly) ?? throw new DiagnosticException(
            "SIDECAR1007", "the image was not closed cleanly, and its journal is missing", _site.ImageName, _location, "no journal there", "bring the journal back; copies of an image in use need it, too");
        List<ReadOnlyMemory<byte>> records = RecordsOf(_marked, _log);
        LoggedImage[] images = [.. records.SelectMany(LogRecord.Images)];
        foreach (LoggedImage image in images)
        {
            if (!_site.IsHome(image.Offset, image.Bytes.Length))
                throw new DiagnosticException("SIDECAR1008", "the journal holds an update outside of the image's metadata and data", _location, found: $"{image.Bytes.Length} bytes for {image.Offset}", fix: "it is not this image's");
        }

        if (_site.IsReadOnly) Home = new ReplayedHome(_home, images);
        else Replay(images);
        long bytes = images.Sum(image => (long)image.Bytes.Length);
        return new RecoveryReport(records.Count == 0, records.Count, bytes, records.Count == 0 ? "nothing to recover" : $"{records.Count} transactions replayed from {_location}");
    }

    public void Start()
    {
        Guid owner = Guid.NewGuid();
        // What is there without a mark was left by a power cut after a clean close, or before the mark of a first session: nothing of it is needed.
        _log ??= SidecarLog.TryOpen(_context, _location, isReadOnly: false);
        if (_log is null) _log = SidecarLog.Make(_context, _location, owner, _options.LogSize);
        else _log.Become(owner, _marked, _options.LogSize);
        Span<byte> payload = stackalloc byte[MarkBytes];
        payload[0] = Version;
        owner.TryWriteBytes(payload[1..]);
        _mark.Set(payload);
        _context.Logger.LogDebug("{Image}: journal {Journal}, session {Owner}", _site.ImageName, _location, owner);
    }

    public void Commit(MetadataTransaction transaction, CommitGoal goal)
    {
        lock (_committing)
        {
            ThrowIfPoisoned();
            if (transaction.Count == 0)
            {
                // Every record is durable already. Revokes need nothing: whoever reuses a range as data writes there, and the log is emptied first.
                if (goal == CommitGoal.Durable) _home.Flush();
                else _home.Barrier();
                return;
            }

            SidecarLog log = _log ?? throw new InvalidOperationException("Commit before Start.");
            BringHome(log);
            // The data that the transaction makes reachable, and the homes of everything in the log.
            _home.Flush();
            if (!log.HasRoomFor(LogRecord.Length(transaction))) Empty(log);
            Protect(transaction);
            log.Append(transaction);
            Flush(log);
            Apply(transaction);
        }
    }

    // Everything was sent home when it was committed; its durability rides on the next commit's flush.
    public void Checkpoint()
    {
    }

    public void Close()
    {
        lock (_committing)
        {
            ThrowIfPoisoned();
            if (_log is not null) BringHome(_log);
            _home.Flush();
            _mark.Clear();
            _log?.Remove();
            _log = null;
            _logged.Clear();
        }
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => _log?.Dispose();

    /// <summary>To be called before anything but a commit changes a range: a later replay must not undo it.</summary>
    public void Release(long offset, long length)
    {
        ThrowIfPoisoned();
        if (!_logged.Overlap(offset, length)) return;
        lock (_committing)
        {
            ThrowIfPoisoned();
            if (_log is null || !_logged.Overlap(offset, length)) return;
            BringHome(_log);
            _home.Flush();
            Empty(_log);
        }
    }

    /// <summary>To be called before a flush or barrier of the image.</summary>
    public void ThrowIfPoisoned()
    {
        if (_failure is { } failure) throw new DurabilityLostException("flush", _location, $"an earlier one failed: {failure.Message}", failure);
    }

    private List<ReadOnlyMemory<byte>> RecordsOf(Guid owner, SidecarLog log)
    {
        if (log.Header.Id == owner) return log.ReadRecords();
        // The next session had begun, which it does when all is home, and the power failed before the mark said so.
        if (log.Header.Before == owner) return [];
        throw new DiagnosticException(
            "SIDECAR1009", "the journal beside the image is not the one that the image's mark names", _site.ImageName, $"journal {owner}", $"{log.Header.Id} in {log.Name}",
            "bring back the journal of the same moment as the image");
    }

    private void Replay(LoggedImage[] images)
    {
        foreach (LoggedImage image in images) _home.Write(image.Offset, image.Bytes.Span, ContentClass.Checkpoint);
        if (images.Length > 0) _home.Flush();
    }

    // Before the record is written: one whose write failed may be there all the same, and a power cut would have it replayed.
    private void Protect(MetadataTransaction transaction)
    {
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++) _logged.Add(images[i].Offset, images[i].Length);
        }
    }

    private void Apply(MetadataTransaction transaction)
    {
        // Until all is home the log is all there is of it.
        _isHomeBehind = true;
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                _home.Write(image.Offset, transaction.Bytes(image), ContentClass.Checkpoint);
            }
        }

        _isHomeBehind = false;
    }

    // A write home failed, in the middle of a transaction perhaps. To write all of the log again is as good as to write what is missing, and nobody else has written there since.
    private void BringHome(SidecarLog log)
    {
        if (!_isHomeBehind) return;
        foreach (LoggedImage image in log.ReadCommitted().SelectMany(LogRecord.Images)) _home.Write(image.Offset, image.Bytes.Span, ContentClass.Checkpoint);
        _isHomeBehind = false;
    }

    private void Empty(SidecarLog log)
    {
        try
        {
            log.Empty();
        }
        catch (Exception failure)
        {
            throw Poisoned(failure);
        }

        _logged.Clear();
    }

    private void Flush(SidecarLog log)
    {
        try
        {
            log.Flush();
        }
        catch (Exception failure)
        {
            throw Poisoned(failure);
        }
    }

    // Never tried again: the kernel may have dropped what it could not write.
    private DurabilityLostException Poisoned(Exception failure)
    {
        _failure = failure;
        return new DurabilityLostException("flush", _location, failure.Message, failure);
    }
}
