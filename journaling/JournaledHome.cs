namespace StoragePlugins.Journaling;

/// <summary>
/// Home as a format sees it through a redo journal: the medium, with what is committed and not yet home laid over it, and writes that keep the two
/// from contradicting each other.
/// </summary>
internal sealed class JournaledHome : IOrderedMedium, IDeallocatingMedium, INonBlockingMedium, IPreallocatingMedium, ISparseMedium
{
    private readonly IOrderedMedium _home;
    private readonly PageTable _pages;
    private readonly PageReader _reader;
    private readonly PageWriter _writer;
    private readonly Action<CommitGoal> _commit;
    private readonly Action<long> _cut;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly IPreallocatingMedium? _preallocating;
    private readonly ISparseMedium? _sparse;
    private readonly Func<long, long, bool> _punch, _zero, _preallocate;

    /// <summary>Wraps the medium.</summary>
    /// <param name="home">The medium; it stays the format's.</param>
    /// <param name="pages">What lies over it.</param>
    /// <param name="reader">Reads both.</param>
    /// <param name="writer">Writes around the pages.</param>
    /// <param name="commit">Commits an empty transaction.</param>
    /// <param name="cut">Shortens home.</param>
    public JournaledHome(IOrderedMedium home, PageTable pages, PageReader reader, PageWriter writer, Action<CommitGoal> commit, Action<long> cut)
    {
        (_home, _pages, _reader, _writer, _commit, _cut) = (home, pages, reader, writer, commit, cut);
        _deallocating = home.GetCapability<IDeallocatingMedium>();
        _preallocating = home.GetCapability<IPreallocatingMedium>();
        _sparse = home.GetCapability<ISparseMedium>();
        _punch = (offset, length) => _deallocating!.TryPunchHole(offset, length);
        _zero = (offset, length) => _deallocating!.TryZeroRange(offset, length);
        _preallocate = (offset, length) =>
        {
            _preallocating!.Preallocate(offset, length);
            return true;
        };
    }

    public string Name => _home.Name;

    public long Length => Math.Max(_home.Length, _pages.End);

    public bool IsReadOnly => _home.IsReadOnly;

    public int Read(long offset, Span<byte> buffer)
    {
        int length = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        _reader.Read(offset, buffer[..length]);
        return length;
    }

    public bool TryRead(long offset, Span<byte> buffer) => offset + buffer.Length <= Length && _reader.TryRead(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => _writer.Write(offset, data, content);

    public void SetLength(long length)
    {
        if (length < Length) _cut(length);
        else _home.SetLength(length);
    }

    public void Barrier() => _commit(CommitGoal.Ordered);

    public void Flush() => _commit(CommitGoal.Durable);

    public bool TryPunchHole(long offset, long length) => _writer.Clear(offset, length, _punch);

    public bool TryZeroRange(long offset, long length) => _writer.Clear(offset, length, _zero);

    public long FreeBytes => _preallocating!.FreeBytes;

    public void Preallocate(long offset, long length) => _ = _writer.Clear(offset, length, _preallocate);

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        (long length, bool isHole) = offset < _home.Length ? _sparse!.DescribeRun(offset) : (Math.Max(0, Length - offset), true);
        return isHole ? UpToNextPage(offset, length) : (length, false);
    }

    // What reaches the medium past the pages (a descriptor, a mapping, its own flush) is not passed on.
    public T? GetCapability<T>() where T : class => typeof(T) switch
    {
        _ when typeof(T) == typeof(IDeallocatingMedium) => _deallocating is null ? null : this as T,
        _ when typeof(T) == typeof(IPreallocatingMedium) => _preallocating is null ? null : this as T,
        _ when typeof(T) == typeof(ISparseMedium) => _sparse is null ? null : this as T,
        _ when typeof(T) == typeof(INonBlockingMedium) => _reader.CanTry ? this as T : null,
        _ when typeof(T) == typeof(IWriteCacheMedium) => _home.GetCapability<T>(),
        _ => null,
    };

    public void Dispose()
    {
    }

    /// <summary>A hole of the medium ends where a page is, and where a page is there is none.</summary>
    private (long Length, bool IsHole) UpToNextPage(long offset, long length)
    {
        for (long at = offset; at < offset + length;)
        {
            long regionEnd = Math.Min(offset + length, (at & -PageTable.RegionBytes) + PageTable.RegionBytes);
            if (_pages.MayHavePages(at) && FirstPage(at, regionEnd) is { } number)
            {
                long start = number << OverlayPage.Bits;
                return start > offset ? (start - offset, true) : (Math.Min(length, start + OverlayPage.Size - offset), false);
            }

            at = regionEnd;
        }

        return (length, true);
    }

    private long? FirstPage(long from, long end)
    {
        PageStripe stripe = _pages.StripeOf(from);
        lock (stripe)
        {
            for (long number = from >> OverlayPage.Bits; number << OverlayPage.Bits < end; number++)
            {
                if (stripe.Find(number) is not null) return number;
            }
        }

        return null;
    }
}
