namespace Samples.SidecarJournal;

/// <summary>Which pages of the image the log holds after-images of: a replay would undo what is written there since. Thread-safe; bounded by the log.</summary>
internal sealed class LoggedPages
{
    private const int PageBytes = 4096;

    private readonly Lock _gate = new();
    private readonly HashSet<long> _pages = [];
    private long _first = long.MaxValue, _last = -1;

    /// <summary>Adds a range.</summary>
    public void Add(long offset, long length)
    {
        lock (_gate)
        {
            long last = (offset + length - 1) / PageBytes;
            for (long page = offset / PageBytes; page <= last; page++) _pages.Add(page);
            _first = Math.Min(_first, offset / PageBytes);
            _last = Math.Max(_last, last);
        }
    }

    /// <summary>Whether a range has a page in common with what was added. Costs at most as much as there are pages, however long the range.</summary>
    public bool Overlap(long offset, long length)
    {
        if (length <= 0) return false;
        lock (_gate)
        {
            long first = Math.Max(_first, offset / PageBytes), last = Math.Min(_last, (offset + length - 1) / PageBytes);
            if (last - first >= _pages.Count)
            {
                foreach (long page in _pages) if (page >= first && page <= last) return true;
                return false;
            }

            for (long page = first; page <= last; page++) if (_pages.Contains(page)) return true;
            return false;
        }
    }

    /// <summary>Forgets all.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _pages.Clear();
            (_first, _last) = (long.MaxValue, -1);
        }
    }
}
