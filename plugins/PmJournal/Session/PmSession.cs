using System.Diagnostics;
using StoragePlugins.PmJournal.Region;
using StoragePlugins.PmJournal.Ring;

namespace StoragePlugins.PmJournal.Session;

/// <summary>
/// A redo journal in persistent memory. A record is durable after a fence, so the after-images go home right behind it, unflushed; the ring keeps them until a
/// flush of the home medium has covered them.
/// </summary>
/// <remarks>
/// <para><b>Commit.</b> (1) Guest data that went home alone: one flush, which also covers every image written home so far, so that the ring becomes empty. (2) One
/// record: the transaction and, when (1) was not needed, the short guest writes since the last commit. (3) The transaction's images are written home.
/// With short writes and metadata only there is no flush, until the ring is full.</para>
/// <para><b>Why no revokes.</b> A replay undoes a newer write only while the older record is in the ring. A write that is in no record causes a flush before the
/// commit that acknowledges it, and the flush empties the ring. Until then the older, acknowledged bytes are a legal result of a crash.</para>
/// <para>Memory: the kept guest writes, at most an eighth of the ring, twice.</para>
/// </remarks>
internal sealed class PmSession : IJournalSession
{
    /// <summary>After-images of eight bytes with their places take twice their room in a record, of one byte twelve times: a sixteenth of the ring always fits.</summary>
    private const int RingsPerTransaction = 16;

    private const int RingsKept = 8;

    private readonly IJournalSite _site;
    private readonly IOrderedMedium _medium;
    private readonly StorageMeter _meter;
    private readonly PmJournalOptions _options;
    private readonly RegionTie _tie;
    private readonly Lock _commit = new();
    private readonly MetadataTransaction _nothing = new();
    private readonly RecordContent _owed = new();
    private readonly RecordContent _record = new();
    private RecordContent _spare = new();
    private readonly PmHome _home;
    private PmRing? _ring;
    private IOrderedMedium _view;
    private long _oldestLiveSince;

    /// <exception cref="DiagnosticException">The region that the image needs cannot be had.</exception>
    public PmSession(IJournalSite site, IOrderedMedium home, StrategyContext context)
    {
        _site = site;
        _medium = home;
        _meter = context.Meter;
        _options = context.Options<PmJournalOptions>();
        _tie = new RegionTie(site, context);
        _home = new PmHome(home, _options.MaxInline, goal => Commit(_nothing, goal));
        _view = site.IsReadOnly ? home : _home;
    }

    public IOrderedMedium Home => _view;

    public long MaxTransactionBytes => (_ring?.Capacity ?? PmRegion.LeastBytes) / RingsPerTransaction;

    public bool IsAtomic => true;

    public RecoveryReport Recover()
    {
        if (_tie.ToRecover is not { } region) return RecoveryReport.Clean;

        var records = new List<byte[]>();
        string? damage = _tie.RingToRecover().Scan((_, _, content) => records.Add(content.ToArray()));
        // All is looked at before anything is written.
        foreach (byte[] record in records) damage ??= Validate(record);
        if (damage is not null)
        {
            throw new DiagnosticException(
                "SP3141", "the journal is damaged in a way that a crash does not explain; nothing was changed", region.Location, found: damage,
                fix: "restore image and journal from a backup, or, to give up what the journal holds, see the page of this code");
        }

        return _site.IsReadOnly ? ReplayForReading(region, records) : Replay(region, records);
    }

    public void Start()
    {
        _ring = _tie.Start();
        _home.StartKeeping(_ring.Capacity / RingsKept);
        ShowRing(_ring);
    }

    public void Commit(MetadataTransaction transaction, CommitGoal goal)
    {
        // The goals cost the same: a record in persistent memory is durable at once, and so its data must be before it.
        _ = goal;
        lock (_commit)
        {
            _home.ThrowIfPoisoned();
            try
            {
                CommitLocked(transaction);
            }
            catch (DurabilityLostException failure)
            {
                _home.Poison(failure);
                throw;
            }
            catch
            {
                // What was taken for this commit is home; the next one flushes it.
                _home.RequireFlush();
                throw;
            }
        }
    }

    // Everything is home already.
    public void Checkpoint()
    {
    }

    public void Close()
    {
        if (_site.IsReadOnly) return;
        lock (_commit)
        {
            _home.ThrowIfPoisoned();
            try
            {
                WriteOwed();
                _medium.Flush();
                _tie.Release();
            }
            catch (DurabilityLostException failure)
            {
                // Half closed: what the mark says is unknown, and a flush that found nothing to do would be taken for a promise.
                _home.Poison(failure);
                throw;
            }

            _ring = null;
            _meter.Journal.Clear();
        }
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
        _tie.Dispose();
        _meter.Journal.Clear();
    }

    private void CommitLocked(MetadataTransaction transaction)
    {
        WriteOwed();
        _spare.Clear();
        bool needsFlush = _home.Take(_spare, out RecordContent kept);
        _spare = kept;
        // What was kept went home before; a flush covers it.
        if (needsFlush) kept.Clear();
        _record.Clear();
        _record.AddEncoded(kept.Bytes);
        int metadataStart = _record.Bytes.Length;
        AddImages(transaction);
        int length = _record.Bytes.Length;
        if (needsFlush || (length > 0 && _ring?.HasRoom(length) == false))
        {
            _medium.Flush();
            OnRing(static (ring, content) => ring.MakeEmpty(content.Bytes.Length));
            if (_ring is { } emptied) ShowRing(emptied);
        }

        if (length == 0) return;
        if (_ring is not { } ring) throw new InvalidOperationException("A transaction before the session was started.");
        if (!ring.HasRoom(length))
            throw new StorageException(StorageError.NoSpace, "commit", _site.ImageName, -1, 0, $"a transaction of {length} bytes does not fit the journal's {ring.Capacity}");
        // The ring is emptied as a whole, so the first record of an empty one is the oldest until then.
        if (ring.Live == 0) _oldestLiveSince = Stopwatch.GetTimestamp();
        OnRing(static (ring, content) => ring.Append(content.Bytes));
        ShowRing(ring);
        _meter.CountHostWrite(ContentClass.JournalRecord, PmRing.RecordBytes(length));
        // Committed from here on. Should a write home fail, the ring keeps the record and the next commit writes it.
        _owed.Clear();
        _owed.AddEncoded(_record.Bytes[metadataStart..]);
        WriteOwed();
    }

    // Whatever goes wrong with the ring: what it acknowledged may be gone.
    private void OnRing(Action<PmRing, RecordContent> action)
    {
        if (_ring is null) return;
        try
        {
            action(_ring, _record);
        }
        catch (StorageException lost) when (lost is not DurabilityLostException)
        {
            throw new DurabilityLostException("journal", _site.ImageName, lost.Message, lost);
        }
    }

    private void ShowRing(PmRing ring) => _meter.Journal.Set(ring.Capacity, ring.Used, ring.Live, _oldestLiveSince);

    private void AddImages(MetadataTransaction transaction)
    {
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++) _record.Add(images[i].Offset, transaction.Bytes(images[i]));
        }
    }

    private void WriteOwed()
    {
        ReadOnlySpan<byte> content = _owed.Bytes;
        while (RecordContent.TryTake(ref content, out long offset, out ReadOnlySpan<byte> image)) _medium.Write(offset, image, ContentClass.Checkpoint);
        _owed.Clear();
    }

    private string? Validate(ReadOnlySpan<byte> content)
    {
        try
        {
            while (RecordContent.TryTake(ref content, out long offset, out ReadOnlySpan<byte> image))
            {
                if (!_site.IsHome(offset, image.Length)) return $"an after-image of {image.Length} bytes at {offset}, where it must not write";
            }

            return null;
        }
        catch (FormatException malformed)
        {
            return malformed.Message;
        }
    }

    private RecoveryReport Replay(PmRegion region, List<byte[]> records)
    {
        long bytes = 0;
        foreach (byte[] record in records)
        {
            ReadOnlySpan<byte> content = record;
            while (RecordContent.TryTake(ref content, out long offset, out ReadOnlySpan<byte> image))
            {
                _medium.Write(offset, image, ContentClass.Checkpoint);
                bytes += image.Length;
            }
        }

        _medium.Flush();
        return new RecoveryReport(false, records.Count, bytes, $"the journal {region.Location} was replayed: {records.Count} transactions, {bytes} bytes");
    }

    private RecoveryReport ReplayForReading(PmRegion region, List<byte[]> records)
    {
        var home = new ReplayedHome(_medium);
        long bytes = 0;
        foreach (byte[] record in records)
        {
            ReadOnlySpan<byte> content = record;
            while (RecordContent.TryTake(ref content, out long offset, out ReadOnlySpan<byte> image))
            {
                home.Add(offset, image);
                bytes += image.Length;
            }
        }

        _view = home;
        return new RecoveryReport(false, records.Count, 0, $"shown as replayed from the journal {region.Location}: {records.Count} transactions, {bytes} bytes");
    }
}
