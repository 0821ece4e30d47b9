namespace StoragePlugins.Journaling;

/// <summary>
/// Which part of the ring is free. Records lie one behind the other and are never split at the end: what is left of the lap is skipped.
/// </summary>
/// <remarks>Not thread-safe. A queue of live records is kept; its memory grows to the most records that the ring has held.</remarks>
internal sealed class LogSpace(long capacity, int alignment)
{
    private readonly Queue<(ulong Txid, long Position, long TakenAt)> _live = new();
    private long _head;

    public long Capacity => capacity;

    /// <summary>Bytes that live records and skipped ends of laps occupy.</summary>
    public long Used
    {
        get
        {
            if (!_live.TryPeek(out (ulong Txid, long Position, long TakenAt) oldest)) return 0;
            long used = _head - oldest.Position;
            return used > 0 ? used : used + capacity;
        }
    }

    /// <summary>Records that a recovery needs.</summary>
    public int Live => _live.Count;

    /// <summary>When the oldest of them was taken, as <see cref="Take"/> was told; 0 where there is none.</summary>
    public long OldestTakenAt => _live.TryPeek(out (ulong Txid, long Position, long TakenAt) oldest) ? oldest.TakenAt : 0;

    /// <summary>The largest record that always finds room once all others were released: the ring's larger half whatever the head's place.</summary>
    public static long LargestRecord(long capacity, int alignment) => (capacity / 2 / alignment * alignment) - (2L * alignment);

    /// <summary>A place for a record, which is only taken by <see cref="Take"/>.</summary>
    /// <param name="bytes">Its length, a multiple of the alignment.</param>
    /// <param name="keep">Bytes that must stay free behind it, so that a small record can always follow.</param>
    /// <returns>−1 when there is no room.</returns>
    public long Find(long bytes, long keep)
    {
        if (!_live.TryPeek(out (ulong Txid, long Position, long TakenAt) oldest))
            return bytes + keep > capacity ? -1 : capacity - _head >= bytes ? _head : 0;
        long tail = oldest.Position;
        if (_head <= tail) return _head < tail && tail - _head >= bytes + keep ? _head : -1;
        // The end of the lap, then the start of the next, up to the tail.
        if (capacity - _head >= bytes && (capacity - _head - bytes >= keep || tail >= keep)) return _head;
        return tail >= bytes + keep ? 0 : -1;
    }

    /// <summary>The record stands there now.</summary>
    /// <param name="txid">Its number.</param>
    /// <param name="position">Where.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="takenAt">The time, in whatever unit; given back by <see cref="OldestTakenAt"/>.</param>
    public void Take(ulong txid, long position, long bytes, long takenAt = 0)
    {
        if (bytes <= 0 || bytes % alignment != 0 || position + bytes > capacity) throw new ArgumentOutOfRangeException(nameof(bytes));
        _live.Enqueue((txid, position, takenAt));
        _head = position + bytes == capacity ? 0 : position + bytes;
    }

    /// <summary>A record with this tail is durable: what is older may be overwritten.</summary>
    public void Release(ulong tailTxid)
    {
        while (_live.TryPeek(out (ulong Txid, long Position, long TakenAt) oldest) && oldest.Txid < tailTxid) _live.Dequeue();
    }
}
