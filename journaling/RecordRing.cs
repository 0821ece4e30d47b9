namespace StoragePlugins.Journaling;

/// <summary>A record's place.</summary>
/// <param name="Transaction">Its transaction.</param>
/// <param name="Position">Where it starts in the log.</param>
internal readonly record struct LogPosition(ulong Transaction, long Position);

/// <summary>
/// The log as a ring: where the next record goes, and what may be overwritten. Records are never split; one that does not fit before the end starts the
/// next lap.
/// </summary>
/// <remarks>
/// What the tail of the newest <i>durable</i> record still names must not be overwritten: should the record that is being written be lost, recovery
/// starts from there. Not thread-safe.
/// </remarks>
internal sealed class RecordRing(long length, int alignment)
{
    private readonly Queue<(LogPosition Place, long Bytes)> _live = new();
    private long _head;
    private LogPosition _durableTail = new(1, 0);
    private long _usedByDurable;

    /// <summary>The next record's transaction.</summary>
    public ulong NextTransaction { get; private set; } = 1;

    /// <summary>The oldest record that a replay needs; the next one when there is none.</summary>
    public LogPosition TailFor(long nextPosition) => _live.TryPeek(out (LogPosition Place, long Bytes) oldest) ? oldest.Place : new LogPosition(NextTransaction, nextPosition);

    /// <summary>The oldest record that a replay needs, as far as is known now.</summary>
    public LogPosition? Tail => _live.TryPeek(out (LogPosition Place, long Bytes) oldest) ? oldest.Place : null;

    /// <summary>Bytes that live records keep, gaps included, over the log's length.</summary>
    public double Fill => (double)_usedByDurable / length;

    /// <summary>Finds the place for a record.</summary>
    /// <param name="bytes">Its length, aligned.</param>
    /// <param name="reserve">Bytes that must stay free behind it, for the record that reports a moved tail.</param>
    /// <param name="position">Where it goes.</param>
    public bool TryPlace(long bytes, long reserve, out long position)
    {
        bool wraps = _head + bytes > length;
        position = wraps ? 0 : _head;
        long gap = wraps ? length - _head : 0;
        return _usedByDurable + gap + bytes + reserve <= length;
    }

    /// <summary>A record was written at the place found.</summary>
    public void Append(long position, long bytes)
    {
        long gap = position == _head ? 0 : length - _head;
        _usedByDurable += gap + bytes;
        _live.Enqueue((new LogPosition(NextTransaction, position), gap + bytes));
        _head = position + bytes == length ? 0 : position + bytes;
        NextTransaction++;
    }

    /// <summary>The newest record is durable, and with it the tail that it names.</summary>
    public void TailIsDurable(LogPosition tail)
    {
        if (tail == _durableTail) return;
        _durableTail = tail;
        long used = 0;
        foreach ((LogPosition place, long bytes) in _live)
        {
            if (place.Transaction >= tail.Transaction) used += bytes;
        }

        // The gap before the tail's record, if it started a lap, is free as well; to count it costs at most one record's length.
        _usedByDurable = used;
    }

    /// <summary>Everything up to a transaction is home and durable: a replay no longer needs it.</summary>
    public void Forget(ulong upTo)
    {
        while (_live.TryPeek(out (LogPosition Place, long Bytes) oldest) && oldest.Place.Transaction <= upTo) _live.Dequeue();
    }

    public override string ToString() => $"head {_head}, durable tail {_durableTail.Position}, {_usedByDurable} of {length} bytes used, alignment {alignment}";
}
