namespace StoragePlugins.Journaling;

/// <summary>The pages by home offset. Thread-safe; in a steady state it allocates nothing.</summary>
/// <remarks>Lock order: a page's lock, then a stripe's. Look-ups hold only the stripe's and compare <see cref="HomePage.Offset"/> afterwards.</remarks>
internal sealed class PageTable
{
    private const int Stripes = 64;

    /// <summary>The filter counts pages by hashed regions of 1 MiB: most large reads touch one or two and skip the look-ups.</summary>
    private const int FilterBits = 20;
    private const int FilterSize = 4096;

    private readonly Dictionary<long, HomePage>[] _stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new Dictionary<long, HomePage>())];
    private readonly int[] _filter = new int[FilterSize];
    private readonly Stack<HomePage> _free = new();
    private int _count;

    /// <summary>Pages held.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether any page may lie in the range.</summary>
    public bool MayHold(long offset, long length)
    {
        if (Count == 0) return false;
        long last = (offset + length - 1) >> FilterBits;
        if (last - (offset >> FilterBits) >= FilterSize) return true;
        for (long region = offset >> FilterBits; region <= last; region++)
        {
            if (Volatile.Read(ref _filter[region % FilterSize]) != 0) return true;
        }

        return false;
    }

    public HomePage? Find(long pageOffset)
    {
        Dictionary<long, HomePage> stripe = StripeOf(pageOffset);
        lock (stripe) return stripe.GetValueOrDefault(pageOffset);
    }

    public HomePage FindOrAdd(long pageOffset)
    {
        Dictionary<long, HomePage> stripe = StripeOf(pageOffset);
        lock (stripe)
        {
            if (stripe.TryGetValue(pageOffset, out HomePage? page)) return page;
            lock (_free)
            {
                if (!_free.TryPop(out page)) page = new HomePage();
            }

            // Emptied when it left; only its place is new. Whoever still holds it from before compares that.
            page.Offset = pageOffset;
            stripe.Add(pageOffset, page);
            Interlocked.Increment(ref _filter[(pageOffset >> FilterBits) % FilterSize]);
            Interlocked.Increment(ref _count);
            return page;
        }
    }

    /// <summary>Under the page's lock: it holds nothing that home does not.</summary>
    public void Remove(HomePage page)
    {
        long offset = page.Offset;
        Dictionary<long, HomePage> stripe = StripeOf(offset);
        lock (stripe) stripe.Remove(offset);
        page.Empty();
        Interlocked.Decrement(ref _filter[(offset >> FilterBits) % FilterSize]);
        Interlocked.Decrement(ref _count);
        lock (_free) _free.Push(page);
    }

    /// <summary>The pages of now, ascending.</summary>
    public void Snapshot(List<(long Offset, HomePage Page)> pages)
    {
        pages.Clear();
        foreach (Dictionary<long, HomePage> stripe in _stripes)
        {
            lock (stripe)
            {
                foreach ((long offset, HomePage page) in stripe) pages.Add((offset, page));
            }
        }

        pages.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
    }

    private Dictionary<long, HomePage> StripeOf(long pageOffset) => _stripes[(int)((pageOffset / HomePage.Bytes) % Stripes)];
}
