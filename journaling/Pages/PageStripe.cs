namespace StoragePlugins.Journaling;

/// <summary>The pages of some regions, and the ranges that are being written home or read from there. The object is its own lock.</summary>
/// <remarks>No I/O happens under the lock. A range inside (<see cref="Enter"/>) keeps out whatever would make a page of it, write over it, or bring it home;
/// pages that are there can be read and written in memory meanwhile.</remarks>
internal sealed class PageStripe
{
    private readonly Dictionary<long, OverlayPage> _pages = [];
    private readonly List<(long First, long Last)> _inside = [];

    public Dictionary<long, OverlayPage>.ValueCollection Pages => _pages.Values;

    public OverlayPage? Find(long number) => _pages.GetValueOrDefault(number);

    public void Add(OverlayPage page) => _pages.Add(page.Number, page);

    public void Remove(OverlayPage page) => _pages.Remove(page.Number);

    public bool HasAll(long first, long last)
    {
        if (_pages.Count <= last - first) return false;
        for (long number = first; number <= last; number++)
        {
            if (!_pages.ContainsKey(number)) return false;
        }

        return true;
    }

    /// <summary>Under the lock, which it gives up while it waits: waits until nobody else is inside the pages, and keeps others out.</summary>
    public void Enter(long first, long last)
    {
        while (Overlaps(first, last)) Monitor.Wait(this);
        _inside.Add((first, last));
    }

    /// <summary>Under the lock.</summary>
    public void Exit(long first, long last)
    {
        _inside.Remove((first, last));
        Monitor.PulseAll(this);
    }

    private bool Overlaps(long first, long last)
    {
        foreach ((long f, long l) in _inside)
        {
            if (first <= l && f <= last) return true;
        }

        return false;
    }
}
