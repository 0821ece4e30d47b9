namespace StoragePlugins.Journaling;

/// <summary>For each range of home, the newest record that forbids the replay of older bytes.</summary>
internal sealed class RevokeMap
{
    /// <summary>Sorted, disjoint.</summary>
    private readonly List<(long Start, long End, ulong Txid)> _ranges = [];

    public int Count => _ranges.Count;

    /// <summary>Adds a revoke. Txids must not fall from call to call.</summary>
    public void Add(long start, long end, ulong txid)
    {
        if (start >= end) return;
        int at = FirstEndingAfter(start);
        int stop = at;
        (long Start, long End, ulong Txid) left = default, right = default;
        for (; stop < _ranges.Count && _ranges[stop].Start < end; stop++)
        {
            if (_ranges[stop].Start < start) left = (_ranges[stop].Start, start, _ranges[stop].Txid);
            if (_ranges[stop].End > end) right = (end, _ranges[stop].End, _ranges[stop].Txid);
        }

        _ranges.RemoveRange(at, stop - at);
        if (right.Txid != 0) _ranges.Insert(at, right);
        _ranges.Insert(at, (start, end, txid));
        if (left.Txid != 0) _ranges.Insert(at, left);
    }

    /// <summary>The first part of a range that no later record revokes.</summary>
    /// <param name="start">First byte; moves behind what is revoked.</param>
    /// <param name="end">End of the range.</param>
    /// <param name="txid">The record that the range is from.</param>
    /// <returns>The end of that part; <paramref name="end"/> with <paramref name="start"/> equal to it when nothing is left.</returns>
    public long NextKept(ref long start, long end, ulong txid)
    {
        int i = FirstEndingAfter(start);
        for (; i < _ranges.Count && _ranges[i].Start < end; i++)
        {
            if (_ranges[i].Txid <= txid) continue;
            if (_ranges[i].Start > start) return _ranges[i].Start;
            start = Math.Min(end, _ranges[i].End);
            if (start == end) return end;
        }

        return end;
    }

    private int FirstEndingAfter(long offset)
    {
        int low = 0, high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End <= offset) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
