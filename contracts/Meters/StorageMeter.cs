namespace StoragePlugins;

/// <summary>
/// Counts what a disk costs: guest requests in, host flushes, barriers and bytes out. Shown by every pipeline, so that sync
/// amplification is never a guess.
/// </summary>
/// <remarks>Thread-safe and lock-free. Guest figures are counted by the host, host figures by media and ordering primitives.</remarks>
public sealed class StorageMeter
{
    private static readonly int s_classes = Enum.GetValues<ContentClass>().Length;

    private readonly long[] _writes = new long[s_classes];
    private readonly long[] _writtenBytes = new long[s_classes];
    private long _guestDiscards, _guestDiscardedBytes, _guestZeroings, _guestZeroedBytes;
    private long _hostReads, _hostReadBytes, _hostFlushes, _barriers;
    private long _guestReads, _guestReadBytes, _guestWrites, _guestWrittenBytes, _guestFlushes, _guestBarriers;

    /// <summary>How full the journal is; set by a journal that keeps a log, empty for others.</summary>
    public JournalGauge Journal { get; } = new();

    /// <summary>One write reached the host's storage.</summary>
    public void CountHostWrite(ContentClass content, long bytes)
    {
        Interlocked.Increment(ref _writes[(int)content]);
        Interlocked.Add(ref _writtenBytes[(int)content], bytes);
    }

    /// <summary>One read reached the host's storage.</summary>
    public void CountHostRead(long bytes)
    {
        Interlocked.Increment(ref _hostReads);
        Interlocked.Add(ref _hostReadBytes, bytes);
    }

    /// <summary>One flush of the host's storage was waited for (fdatasync, fsync, or a device flush).</summary>
    public void CountHostFlush() => Interlocked.Increment(ref _hostFlushes);

    /// <summary>One barrier that did not wait for durability.</summary>
    public void CountBarrier() => Interlocked.Increment(ref _barriers);

    /// <summary>One guest read was answered.</summary>
    public void CountGuestRead(long bytes)
    {
        Interlocked.Increment(ref _guestReads);
        Interlocked.Add(ref _guestReadBytes, bytes);
    }

    /// <summary>One guest write was answered.</summary>
    public void CountGuestWrite(long bytes)
    {
        Interlocked.Increment(ref _guestWrites);
        Interlocked.Add(ref _guestWrittenBytes, bytes);
    }

    /// <summary>One guest discard was answered. <see cref="MeterReading.GuestWrites"/> has it too.</summary>
    public void CountGuestDiscard(long bytes)
    {
        Interlocked.Increment(ref _guestDiscards);
        Interlocked.Add(ref _guestDiscardedBytes, bytes);
    }

    /// <summary>One guest request to write zeros, which carries no data, was answered. <see cref="MeterReading.GuestWrites"/> has it too.</summary>
    public void CountGuestZeroing(long bytes)
    {
        Interlocked.Increment(ref _guestZeroings);
        Interlocked.Add(ref _guestZeroedBytes, bytes);
    }

    /// <summary>One guest flush or FUA was answered.</summary>
    public void CountGuestFlush() => Interlocked.Increment(ref _guestFlushes);

    /// <summary>One guest barrier (<see cref="IBarrierDisk"/>) was answered.</summary>
    public void CountGuestBarrier() => Interlocked.Increment(ref _guestBarriers);

    /// <summary>The figures now. Each is exact; together they are of about the same moment.</summary>
    public MeterReading Read()
    {
        var writes = new long[s_classes];
        var bytes = new long[s_classes];
        for (int i = 0; i < s_classes; i++)
        {
            writes[i] = Interlocked.Read(ref _writes[i]);
            bytes[i] = Interlocked.Read(ref _writtenBytes[i]);
        }

        long discards = Interlocked.Read(ref _guestDiscards), discarded = Interlocked.Read(ref _guestDiscardedBytes);
        long zeroings = Interlocked.Read(ref _guestZeroings), zeroed = Interlocked.Read(ref _guestZeroedBytes);
        return new MeterReading
        {
            GuestReads = Interlocked.Read(ref _guestReads),
            GuestReadBytes = Interlocked.Read(ref _guestReadBytes),
            GuestWrites = Interlocked.Read(ref _guestWrites) + discards + zeroings,
            GuestWrittenBytes = Interlocked.Read(ref _guestWrittenBytes) + discarded + zeroed,
            GuestFlushes = Interlocked.Read(ref _guestFlushes),
            GuestBarriers = Interlocked.Read(ref _guestBarriers),
            HostReads = Interlocked.Read(ref _hostReads),
            HostReadBytes = Interlocked.Read(ref _hostReadBytes),
            HostFlushes = Interlocked.Read(ref _hostFlushes),
            Barriers = Interlocked.Read(ref _barriers),
            HostWritesByClass = writes,
            HostBytesByClass = bytes,
            GuestDiscards = discards,
            GuestDiscardedBytes = discarded,
            GuestZeroings = zeroings,
            GuestZeroedBytes = zeroed,
            Journal = Journal.Read(),
        };
    }
}

/// <summary>A reading of a <see cref="StorageMeter"/>: totals since the disk was opened.</summary>
public sealed record MeterReading
{
    /// <summary>Guest reads answered.</summary>
    public long GuestReads { get; init; }

    /// <summary>Bytes of guest reads.</summary>
    public long GuestReadBytes { get; init; }

    /// <summary>Guest writes, discards and zeroings answered.</summary>
    public long GuestWrites { get; init; }

    /// <summary>Bytes of guest writes.</summary>
    public long GuestWrittenBytes { get; init; }

    /// <summary>Guest flushes and FUA writes answered.</summary>
    public long GuestFlushes { get; init; }

    /// <summary>Guest barriers answered: order was asked for, not durability.</summary>
    public long GuestBarriers { get; init; }

    /// <summary>Reads of the host's storage.</summary>
    public long HostReads { get; init; }

    /// <summary>Bytes read from the host's storage.</summary>
    public long HostReadBytes { get; init; }

    /// <summary>Flushes of the host's storage.</summary>
    public long HostFlushes { get; init; }

    /// <summary>Barriers that did not wait.</summary>
    public long Barriers { get; init; }

    /// <summary>Writes to the host's storage, indexed by <see cref="ContentClass"/>.</summary>
    public IReadOnlyList<long> HostWritesByClass { get; init; } = [];

    /// <summary>Bytes written to the host's storage, indexed by <see cref="ContentClass"/>.</summary>
    public IReadOnlyList<long> HostBytesByClass { get; init; } = [];

    /// <summary>Guest discards answered; <see cref="GuestWrites"/> has them too.</summary>
    public long GuestDiscards { get; init; }

    /// <summary>Bytes of guest discards; <see cref="GuestWrittenBytes"/> has them too.</summary>
    public long GuestDiscardedBytes { get; init; }

    /// <summary>Guest requests to write zeros answered; <see cref="GuestWrites"/> has them too.</summary>
    public long GuestZeroings { get; init; }

    /// <summary>Bytes of guest requests to write zeros; <see cref="GuestWrittenBytes"/> has them too.</summary>
    public long GuestZeroedBytes { get; init; }

    /// <summary>How full the journal is now: a level, not a total.</summary>
    public JournalReading Journal { get; init; }

    /// <summary>Bytes written to the host's storage in all.</summary>
    public long HostWrittenBytes => HostBytesByClass.Sum();
}
