using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>
/// The byte-granular journal: one self-checksummed record an operation, durable behind one fence, in one of several lanes so that writers do not queue.
/// </summary>
/// <remarks>
/// <para>A commit is: what was stored in place becomes durable; the record; a fence; home. Locks of what is changed are held until after the fence, so whatever
/// a record builds on is durable before it, in whichever lane.</para>
/// <para>Home is stored cached and not flushed. When a lane is full, all lanes together are brought home and the floor rises: from then on their records are
/// ignored, in every lane, so that no old record can undo a newer one that has been overwritten.</para>
/// <para>A fence that fails is final: <see cref="ThrowIfFailed"/>.</para>
/// </remarks>
internal sealed class MetadataJournal
{
    [ThreadStatic]
    private static Transaction? t_transaction;

    private readonly PmRegion _region;
    private readonly JournalLane[] _lanes;
    private readonly Lock _checkpoint = new();
    private ulong _sequence;
    private long _checkpoints;
    private DurabilityLostException? _failure;

    /// <param name="region">The region, its journal replayed.</param>
    /// <param name="home">Brings changes home.</param>
    /// <param name="floor">The newest sequence number that was given out.</param>
    public MetadataJournal(PmRegion region, Home home, ulong floor)
    {
        _region = region;
        Home = home;
        _sequence = floor;
        _lanes = [.. Enumerable.Range(0, region.Geometry.Lanes).Select(i => new JournalLane(region, region.Geometry.Journal + ((long)i * region.Geometry.LaneBytes)))];
    }

    public Home Home { get; }

    /// <summary>Told, with all lanes at rest, that no record refers to anything before now.</summary>
    public Action? Emptied { get; set; }

    /// <summary>Records and their bytes so far, and how often they were all brought home.</summary>
    public (long Records, long Bytes, long Checkpoints) Totals => (_lanes.Sum(lane => lane.RecordCount), _lanes.Sum(lane => lane.RecordBytes), Volatile.Read(ref _checkpoints));

    /// <summary>Bytes stored at home so far.</summary>
    public long HomeBytes => _lanes.Sum(lane => lane.HomeBytes);

    /// <exception cref="DurabilityLostException">A fence failed before.</exception>
    public void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } failure) throw new DurabilityLostException(failure.Operation, failure.Target, failure.Message, failure);
    }

    /// <summary>This thread's transaction, empty.</summary>
    public Transaction Begin()
    {
        ThrowIfFailed();
        Transaction transaction = t_transaction ??= new Transaction();
        transaction.Reset(_region);
        return transaction;
    }

    /// <summary>Makes a transaction count. Durable on return; what it changed is home.</summary>
    /// <exception cref="DurabilityLostException">Whether it counts is only known after the next opening; nothing can be changed until then.</exception>
    public void Commit(Transaction transaction)
    {
        Span<byte> record = transaction.Finish();
        try
        {
            if (transaction.HasStored) MakeDurable(transaction);
            if (!transaction.IsEmpty) Append(record, transaction.Lines);
        }
        catch (StorageException failure)
        {
            // Also a lost mapping: the record may be there or not, and home would go on without it.
            Fail(failure);
            throw;
        }
    }

    /// <summary>Brings everything home, durably.</summary>
    /// <exception cref="DurabilityLostException">It failed.</exception>
    public void Checkpoint()
    {
        long before = Volatile.Read(ref _checkpoints);
        lock (_checkpoint)
        {
            // Somebody else did while this thread waited.
            if (_checkpoints != before) return;
            ThrowIfFailed();
            foreach (JournalLane lane in _lanes) lane.Gate.EnterWrite();
            try
            {
                BringHome();
            }
            catch (StorageException failure)
            {
                Fail(failure);
                throw;
            }
            finally
            {
                foreach (JournalLane lane in _lanes) lane.Gate.ExitWrite();
            }
        }
    }

    private void Fail(StorageException failure) =>
        Volatile.Write(ref _failure, failure as DurabilityLostException ?? new DurabilityLostException(failure.Operation, _region.Name, failure.Message, failure));

    private void BringHome()
    {
        foreach (JournalLane lane in _lanes) lane.FlushHomes();
        _region.MakeDurable(0, _region.Geometry.Length);
        StoreWord(_region, PmLayout.FloorOffset, StateWords.PackFloor(Volatile.Read(ref _sequence)));
        foreach (JournalLane lane in _lanes) lane.Empty();
        Emptied?.Invoke();
        _checkpoints++;
    }

    /// <summary>Stores one word of the superblock, durably.</summary>
    internal static void StoreWord(PmRegion region, long offset, ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        region.Memory.Store(offset, bytes);
        region.Memory.Persist(offset, sizeof(ulong));
    }

    private void MakeDurable(Transaction transaction)
    {
        if (_region.Memory.Domain != PersistenceDomain.Msync)
        {
            _region.Memory.Fence();
            return;
        }

        foreach ((long offset, long length) in transaction.Stored) _region.Memory.Persist(offset, length);
    }

    private void Append(Span<byte> record, ReadOnlySpan<byte> lines)
    {
        JournalLane lane = _lanes[Environment.CurrentManagedThreadId % _lanes.Length];
        while (!TryAppend(lane, record, lines)) Checkpoint();
    }

    // False when the lane is full.
    private bool TryAppend(JournalLane lane, Span<byte> record, ReadOnlySpan<byte> lines)
    {
        lane.Gate.EnterWrite();
        try
        {
            if (!lane.TryReserve(record.Length, out int at)) return false;
            lane.Write(at, record, lines, Interlocked.Increment(ref _sequence));
            _region.MakeDurable(lane.Start + at, record.Length);
            ReadOnlySpan<byte> rest = record[PmLayout.RecordHeaderBytes..];
            while (Change.TryTake(ref rest, out Change change))
            {
                Home.Apply(change);
                (long offset, long length) = Home.RangeOf(change);
                lane.NoteHome(offset, length);
            }

            return true;
        }
        finally
        {
            lane.Gate.ExitWrite();
        }
    }
}
