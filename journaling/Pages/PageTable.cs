namespace StoragePlugins.Journaling;

/// <summary>
/// The overlay: pages of home, keyed by offset, in memory as long as a live record or a write that no record holds yet concerns them.
/// </summary>
/// <remarks>Thread-safe. Locks, in the order in which they may be held: a stripe, then the list of dirty pages or the free pages.</remarks>
internal sealed class PageTable
{
    /// <summary>Pages of one region lie in one stripe, so that a request of up to this size takes one lock or two.</summary>
    public const int RegionBits = 20;
    public const int RegionBytes = 1 << RegionBits;

    /// <summary>More than there are threads that serve one disk.</summary>
    private const int StripeCount = 64;

    /// <summary>A read asks one of these counters whether a region can have pages at all. 16 KiB of counters; 4 GiB of home without a collision.</summary>
    private const int CounterCount = 4096;

    private readonly PageStripe[] _stripes = [.. Enumerable.Range(0, StripeCount).Select(_ => new PageStripe())];
    private readonly int[] _regionPages = new int[CounterCount];
    private readonly Stack<OverlayPage> _free = new();
    private readonly object _dirtyLock = new();
    private readonly int _capacity;
    private long _maxDirtyBytes;
    private long _end;
    private List<OverlayPage> _dirtyPages = [];
    private int _count;
    private int _taken;
    private long _dirtyBytes;

    /// <summary>An empty table.</summary>
    /// <param name="capacity">Most pages; metadata of one transaction may go beyond.</param>
    public PageTable(int capacity) => _capacity = capacity;

    public int Count => Volatile.Read(ref _count);

    public int Capacity => _capacity;

    public ReadOnlySpan<PageStripe> Stripes => _stripes;

    /// <summary>The end of what pages hold: home is at least that long, though the medium may not be yet.</summary>
    public long End => Interlocked.Read(ref _end);

    /// <summary>The longest write that is dealt with in one piece.</summary>
    public int MaxPiece { get; private set; } = RegionBytes;

    /// <summary>Sets the most bytes of granules that no record holds yet: one record must hold them all.</summary>
    public void LimitDirty(long bytes)
    {
        _maxDirtyBytes = bytes;
        // Half the room, so that a piece always fits after a commit while others write too.
        MaxPiece = (int)Math.Clamp(bytes / 2 & -OverlayPage.Size, OverlayPage.Size, RegionBytes);
    }

    /// <summary>Pages hold bytes up to here. Before they are marked as dirty or applied, or a checkpoint would leave them out.</summary>
    public void Extend(long end)
    {
        for (long now = End; end > now;)
        {
            long seen = Interlocked.CompareExchange(ref _end, end, now);
            if (seen == now) return;
            now = seen;
        }
    }

    /// <summary>Home was cut: what lies beyond is gone, and reads as zeros if home grows again.</summary>
    /// <remarks>No commit and no checkpoint is under way.</remarks>
    public void Cut(long length)
    {
        Interlocked.Exchange(ref _end, Math.Min(End, length));
        foreach (PageStripe stripe in _stripes)
        {
            lock (stripe)
            {
                foreach (OverlayPage page in stripe.Pages)
                {
                    if (page.Offset >= length) Remove(stripe, page);
                    else if (page.Offset + OverlayPage.Size > length) page.Bytes.AsSpan((int)(length - page.Offset)).Clear();
                }
            }
        }
    }

    /// <summary>All pages are home: the medium's own length counts again.</summary>
    public void ForgetEnd() => Interlocked.Exchange(ref _end, 0);

    public PageStripe StripeOf(long offset) => _stripes[(offset >> RegionBits) & (StripeCount - 1)];

    /// <summary>False when the region certainly has no pages.</summary>
    public bool MayHavePages(long offset) => Volatile.Read(ref _regionPages[Counter(offset)]) != 0;

    /// <summary>A free page, or null when the overlay is full.</summary>
    public OverlayPage? TryTakePage() => Take(_capacity);

    /// <summary>A free page for metadata, which cannot be turned away.</summary>
    public OverlayPage TakePage() => Take(int.MaxValue)!;

    /// <summary>A page that was taken and not added.</summary>
    public void GiveBack(OverlayPage page)
    {
        lock (_free)
        {
            // Beyond the bound it was one transaction's: the garbage collector has it back.
            if (_taken-- <= _capacity) _free.Push(page);
        }
    }

    /// <summary>Under the stripe's lock and inside the page's range: the page's content is complete.</summary>
    public void Add(PageStripe stripe, OverlayPage page, long number)
    {
        page.Number = number;
        stripe.Add(page);
        Interlocked.Increment(ref _count);
        Interlocked.Increment(ref _regionPages[Counter(page.Offset)]);
    }

    /// <summary>Under the stripe's lock: home shows what the page shows, or nobody needs it.</summary>
    public void Remove(PageStripe stripe, OverlayPage page)
    {
        Settle(page, page.Dirty);
        stripe.Remove(page);
        Interlocked.Decrement(ref _regionPages[Counter(page.Offset)]);
        Interlocked.Decrement(ref _count);
        page.Number = -1;
        page.LastTxid = 0;
        GiveBack(page);
    }

    /// <summary>Reserves room in the next record.</summary>
    public bool TryReserveDirty(long bytes)
    {
        if (bytes == 0 || Interlocked.Add(ref _dirtyBytes, bytes) <= _maxDirtyBytes) return true;
        Interlocked.Add(ref _dirtyBytes, -bytes);
        return false;
    }

    public void GiveBackDirty(long bytes) => Interlocked.Add(ref _dirtyBytes, -bytes);

    /// <summary>Under the stripe's lock: granules were written.</summary>
    /// <returns>Bytes of the reservation that were used: those of granules not dirty before.</returns>
    public int MarkDirty(OverlayPage page, ulong mask)
    {
        int used = OverlayPage.BytesOf(mask & ~page.Dirty);
        page.Dirty |= mask;
        List(page);
        return used;
    }

    /// <summary>Under the stripe's lock: these dirty granules need no record any more.</summary>
    public void Settle(OverlayPage page, ulong mask)
    {
        Interlocked.Add(ref _dirtyBytes, -OverlayPage.BytesOf(page.Dirty & mask));
        page.Dirty &= ~mask;
    }

    /// <summary>Under the stripe's lock: the dirty granules go into a record. Their room stays reserved until it is known how that ended.</summary>
    public static void Ride(OverlayPage page)
    {
        page.Riding = page.Dirty;
        page.Dirty = 0;
    }

    /// <summary>Under the stripe's lock: the record is there, or it failed and the granules are due again.</summary>
    public void EndRide(OverlayPage page, bool failed)
    {
        ulong riding = page.Riding;
        page.Riding = 0;
        if (!failed)
        {
            Interlocked.Add(ref _dirtyBytes, -OverlayPage.BytesOf(riding));
            return;
        }

        Interlocked.Add(ref _dirtyBytes, -OverlayPage.BytesOf(riding & page.Dirty));
        page.Dirty |= riding;
        if (page.Dirty != 0) List(page);
    }

    /// <summary>Takes the list of pages that were dirtied since the last call; some may be clean or free again.</summary>
    /// <param name="empty">An empty list to go on with.</param>
    public List<OverlayPage> TakeDirtyPages(List<OverlayPage> empty)
    {
        lock (_dirtyLock)
        {
            List<OverlayPage> taken = _dirtyPages;
            foreach (OverlayPage page in taken) page.IsListed = false;
            _dirtyPages = empty;
            return taken;
        }
    }

    private void List(OverlayPage page)
    {
        lock (_dirtyLock)
        {
            if (page.IsListed) return;
            page.IsListed = true;
            _dirtyPages.Add(page);
        }
    }

    private OverlayPage? Take(int limit)
    {
        lock (_free)
        {
            if (_taken >= limit) return null;
            _taken++;
            if (_free.TryPop(out OverlayPage? page)) return page;
        }

        return new OverlayPage();
    }

    // Neighbouring regions get counters apart from each other, and regions at the same place of large tables too.
    private static int Counter(long offset) => (int)(((ulong)(offset >> RegionBits) * 0x9E37_79B9_7F4A_7C15) >> 52);
}
