using System.Diagnostics;

namespace StoragePlugins.Journaling;

/// <summary>The log of a started session: the record that is being made, its number, and the log's space.</summary>
/// <remarks>For the committing thread.</remarks>
internal sealed class Recording
{
    private readonly RecordIdentity _identity;
    private readonly PageTable _pages;
    private readonly JournalStatistics _statistics;
    private readonly RecordBuilder _builder;
    private readonly RecordBuilder _empty;
    private readonly RecordGatherer _gatherer;
    private readonly LogSpace _space;
    private uint _attempt;

    public Recording(IRecordLog log, RecordIdentity identity, IOrderedMedium home, PageTable pages, PageReader reader, JournalStatistics statistics)
    {
        (Log, _identity, _pages, _statistics) = (log, identity, pages, statistics);
        int largest = (int)Math.Min(LogSpace.LargestRecord(log.Capacity, log.Alignment), int.MaxValue / 2);
        _builder = new RecordBuilder(log.HeaderBytes, log.Alignment, largest);
        _empty = new RecordBuilder(log.HeaderBytes, log.Alignment, log.HeaderBytes + log.Alignment);
        _gatherer = new RecordGatherer(home, pages, reader, _builder, statistics);
        _space = new LogSpace(log.Capacity, log.Alignment);
    }

    public IRecordLog Log { get; }

    public required long MaxTransactionBytes { get; init; }

    /// <summary>The most data copied into one record.</summary>
    public required long MaxCopied { get; init; }

    public ulong NewestTxid { get; private set; }

    /// <summary>What the newest record in order says of the oldest that a replay needs.</summary>
    public ulong Tail { get; private set; } = 1;

    private ulong AppendedTail { get; set; } = 1;

    /// <summary>Whether the newest record holds copies of data. They are replayed until there is a later record, and would undo direct writes.</summary>
    public bool NewestHasCopies { get; private set; }

    public bool IsEmpty => _builder.IsEmpty;

    /// <summary>Log or overlay want a checkpoint, early enough that nobody has to wait for it.</summary>
    public bool IsHalfFull => _space.Used > _space.Capacity / 2 || _pages.Count > _pages.Capacity / 4 * 3;

    /// <summary>Room for the record, and behind it for an empty one that lets space go.</summary>
    public bool HasRoom => _space.Find(_builder.FrameLength, _empty.FrameLength) >= 0;

    public void Begin() => _builder.Clear();

    public void Copy(List<HomeRange> ranges)
    {
        foreach (HomeRange range in ranges) _gatherer.AddCopy(range);
    }

    public void Gather(MetadataTransaction transaction, long cutAt)
    {
        if (cutAt != long.MaxValue) _builder.AddRevokeFrom(cutAt);
        _gatherer.AddRiding();
        _gatherer.AddTransaction(transaction);
    }

    /// <summary>Appends the record that was gathered, or an empty one.</summary>
    /// <exception cref="StorageException">It failed; the next takes its number.</exception>
    public void Append(long homeLength, ulong tail, bool isEmpty)
    {
        RecordBuilder builder = isEmpty ? _empty : _builder;
        long position = _space.Find(builder.FrameLength, isEmpty ? 0 : _empty.FrameLength);
        if (position < 0) throw new InvalidOperationException("The log has no room though it was made.");
        ulong txid = NewestTxid + 1;
        AppendedTail = Math.Min(tail, txid);
        Span<byte> frame = builder.Frame;
        try
        {
            Log.Append(position, new RecordHeader(_identity, txid, AppendedTail, _attempt, homeLength, builder.PayloadLength), frame);
        }
        catch
        {
            _attempt++;
            throw;
        }

        _attempt = 0;
        NewestTxid = txid;
        NewestHasCopies = builder.HasCopies;
        _space.Take(txid, position, frame.Length, Stopwatch.GetTimestamp());
        _statistics.CountRecord(frame.Length);
    }

    /// <summary>The record that was appended is in order: its content shows.</summary>
    /// <returns>Its number.</returns>
    public ulong Apply(MetadataTransaction transaction)
    {
        _gatherer.Apply(transaction, NewestTxid);
        return NewestTxid;
    }

    /// <summary>Shows how full the log is.</summary>
    public void Show(JournalGauge gauge) => gauge.Set(_space.Capacity, _space.Used, _space.Live, _space.OldestTakenAt);

    public void Abandon() => _gatherer.Abandon();

    /// <summary>The newest record is in order: what is before its tail may be overwritten, and pages that only older records need go.</summary>
    public void ReleaseTail()
    {
        if (AppendedTail == Tail) return;
        Tail = AppendedTail;
        _space.Release(Tail);
        foreach (PageStripe stripe in _pages.Stripes)
        {
            lock (stripe)
            {
                foreach (OverlayPage page in stripe.Pages)
                {
                    if (page.LastTxid != 0 && page.LastTxid < Tail && page.IsIdle) _pages.Remove(stripe, page);
                }
            }
        }
    }
}
