namespace StoragePlugins.CrashKit.Trees;

/// <summary>The bytes of a file: pages that are not all zeros. Pages are replaced and never changed, so that copies share them.</summary>
internal sealed class SparseContent
{
    public const int PageBytes = 4096;

    private static readonly byte[] Zeros = new byte[PageBytes];

    private readonly SortedDictionary<long, byte[]> _pages;

    public SparseContent() => _pages = [];

    private SparseContent(SortedDictionary<long, byte[]> pages) => _pages = pages;

    /// <summary>Pages with something in them, in order.</summary>
    public IReadOnlyDictionary<long, byte[]> Pages => _pages;

    public SparseContent Copy() => new(new SortedDictionary<long, byte[]>(_pages));

    /// <summary>The page as it reads.</summary>
    public ReadOnlySpan<byte> Page(long index) => _pages.TryGetValue(index, out byte[]? page) ? page : Zeros;

    public void Read(long offset, Span<byte> buffer)
    {
        for (int done = 0; done < buffer.Length;)
        {
            (long page, int at) = ((offset + done) / PageBytes, (int)((offset + done) % PageBytes));
            int piece = Math.Min(buffer.Length - done, PageBytes - at);
            Page(page).Slice(at, piece).CopyTo(buffer[done..]);
            done += piece;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        for (int done = 0; done < data.Length;)
        {
            (long page, int at) = ((offset + done) / PageBytes, (int)((offset + done) % PageBytes));
            int piece = Math.Min(data.Length - done, PageBytes - at);
            byte[] changed = Page(page).ToArray();
            data.Slice(done, piece).CopyTo(changed.AsSpan(at));
            Put(page, changed);
            done += piece;
        }
    }

    /// <summary>Zeroes a range, which may be far longer than what is there.</summary>
    public void Clear(long offset, long length)
    {
        long end = offset + length;
        foreach (long page in _pages.Keys.Where(page => (page + 1) * PageBytes > offset && page * PageBytes < end).ToArray())
        {
            byte[] changed = [.. _pages[page]];
            long from = Math.Max(offset, page * PageBytes), to = Math.Min(end, (page + 1) * PageBytes);
            changed.AsSpan((int)(from - (page * PageBytes)), (int)(to - from)).Clear();
            Put(page, changed);
        }
    }

    private void Put(long index, byte[] page)
    {
        if (page.AsSpan().ContainsAnyExcept((byte)0)) _pages[index] = page;
        else _pages.Remove(index);
    }
}
