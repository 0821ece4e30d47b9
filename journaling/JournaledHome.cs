using System.Numerics;
using System.Runtime.CompilerServices;

namespace StoragePlugins.Journaling;

/// <summary>
/// The home medium as the format sees it: reads show what the journal holds and has not brought home; writes respect what a replay would do.
/// </summary>
/// <remarks>
/// <para>A small guest write is kept in a page and rides in the next record. Any other write goes home; where it meets granules that pages hold, its bytes
/// are also put into the page, and so into the next record: no replay and no checkpoint can undo it. A write that covers pages wholly, and is too large to
/// ride, supersedes them: they are dropped, and revoked in the next record. Such a record must not persist before the write does, or the revoke would
/// take acknowledged bytes away and put nothing in their place: <see cref="NeedsOrder"/>.</para>
/// <para>Threading: as any medium. Waits are for single writes of others to the same page.</para>
/// </remarks>
internal sealed class JournaledHome : IOrderedMedium, INonBlockingMedium, IDeallocatingMedium, ISparseMedium, IInlineMedium
{
    /// <summary>Guests write in sectors; anything finer is written straight home.</summary>
    private const int SectorBytes = 512;

    private readonly IOrderedMedium _inner;
    private readonly INonBlockingMedium? _nonBlocking;
    private readonly IDeallocatingMedium? _deallocating;
    private readonly ISparseMedium? _sparse;
    private readonly JournalSettings _settings;
    private readonly Action<CommitGoal> _commit;
    private readonly int _maxPages;
    private readonly object _gathering = new();
    private List<HomePage> _dirty = [];
    private List<HomePage> _dirtyTaken = [];
    private readonly List<HomeRange> _revokes = [];
    private long _pendingBytes;
    private long _end;
    private int _wroteHome;

    /// <summary>Puts a journal's pages over a medium.</summary>
    /// <param name="inner">The home medium; stays its owner's.</param>
    /// <param name="settings">Bounds.</param>
    /// <param name="commit">Commits an empty transaction.</param>
    public JournaledHome(IOrderedMedium inner, JournalSettings settings, Action<CommitGoal> commit)
    {
        _inner = inner;
        _settings = settings;
        _commit = commit;
        _maxPages = (int)Math.Clamp(settings.OverlayBytes / HomePage.Bytes, 16, 1 << 20);
        _nonBlocking = inner.GetCapability<INonBlockingMedium>();
        _deallocating = inner.GetCapability<IDeallocatingMedium>();
        _sparse = inner.GetCapability<ISparseMedium>();
    }

    public string Name => _inner.Name;

    /// <summary>Also what is only here so far counts.</summary>
    public long Length => Math.Max(_inner.Length, Volatile.Read(ref _end));

    public bool IsReadOnly => _inner.IsReadOnly;

    /// <summary>Whether small writes are kept. Not before the journal is ready for records.</summary>
    public bool Absorbs { get; set; }

    public PageTable Pages { get; } = new();

    /// <summary>How full the bound on pages is.</summary>
    public double Fill => (double)Pages.Count / _maxPages;

    public int Read(long offset, Span<byte> buffer)
    {
        if (!Pages.MayHold(offset, buffer.Length)) return _inner.Read(offset, buffer);
        while (true)
        {
            if (TryReadThrough(offset, buffer, mayWait: true, out int got)) return got;
        }
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        if (_nonBlocking is null) return false;
        if (!Pages.MayHold(offset, buffer.Length)) return _nonBlocking.TryRead(offset, buffer);
        return TryReadThrough(offset, buffer, mayWait: false, out int got) && got == buffer.Length;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (data.IsEmpty) return;
        // A small write that does not fit the bounds goes home like any other.
        if (content == ContentClass.GuestData && data.Length <= _settings.MaxInlineBytes && TryWriteInline(offset, data)) return;

        // Writes that meet pages add to what the next record must carry; it must not outgrow one.
        if (Absorbs && content == ContentClass.GuestData && Interlocked.Read(ref _pendingBytes) > 2L * _settings.MaxPendingBytes) _commit(CommitGoal.Ordered);
        if (!Pages.MayHold(offset, data.Length))
        {
            _inner.Write(offset, data, content);
            Volatile.Write(ref _wroteHome, 1);
            return;
        }

        WriteOverPages(offset, data, content);
    }

    public bool TryWriteInline(long offset, ReadOnlySpan<byte> data)
    {
        bool fits = Absorbs && ((offset | (long)data.Length) & (SectorBytes - 1)) == 0
            && Interlocked.Read(ref _pendingBytes) + data.Length <= _settings.MaxPendingBytes && Pages.Count < _maxPages;
        if (fits) Absorb(offset, data);
        return fits;
    }

    public void SetLength(long length)
    {
        _inner.SetLength(length);
        Volatile.Write(ref _wroteHome, 1);
        Volatile.Write(ref _end, Math.Min(_end, length));
    }

    public void Barrier() => _commit(CommitGoal.Ordered);

    public void Flush() => _commit(CommitGoal.Durable);

    // What is punched is free and not read until it is written again, which supersedes or joins any page there.
    public bool TryPunchHole(long offset, long length) => _deallocating is not null && NoteWrite(_deallocating.TryPunchHole(offset, length));

    public bool TryZeroRange(long offset, long length) =>
        _deallocating is not null && !Pages.MayHold(offset, length) && NoteWrite(_deallocating.TryZeroRange(offset, length));

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        (long length, bool isHole) = offset < _inner.Length ? _sparse!.DescribeRun(offset) : (Length - offset, true);
        return isHole && Pages.MayHold(offset, length) ? (length, false) : (length, isHole);
    }

    public T? GetCapability<T>() where T : class
    {
        if (typeof(T) == typeof(INonBlockingMedium)) return _nonBlocking is null ? null : this as T;
        if (typeof(T) == typeof(IDeallocatingMedium)) return _deallocating is null ? null : this as T;
        if (typeof(T) == typeof(ISparseMedium)) return _sparse is null ? null : this as T;
        // Preallocation is of space that nothing was ever written to: no page can lie there.
        return typeof(T) == typeof(IPreallocatingMedium) || typeof(T) == typeof(IWriteCacheMedium) ? _inner.GetCapability<T>() : this as T;
    }

    public void Dispose()
    {
    }

    /// <summary>Whether anything went home that no flush has covered.</summary>
    public bool WroteHome => Volatile.Read(ref _wroteHome) != 0;

    /// <summary>A flush begins: it covers every write that has returned.</summary>
    public void FlushBegins() => Volatile.Write(ref _wroteHome, 0);

    /// <summary>Whether the revokes last gathered name pages that a write home superseded: that write persists first.</summary>
    public bool NeedsOrder { get; private set; }

    /// <summary>Something went home: the checkpoint's writes, a flush that failed.</summary>
    public void NoteWrite() => Volatile.Write(ref _wroteHome, 1);

    /// <summary>Puts into a record what must ride in it: revokes, then the bytes of kept writes. Commits one at a time.</summary>
    /// <param name="record">Receives them.</param>
    /// <param name="number">The record's transaction, or an earlier one that is not written yet.</param>
    /// <param name="transaction">Its revokes and after-images go between ours, since revokes come first; may be null.</param>
    public void Gather(RecordBuilder record, ulong number, MetadataTransaction? transaction)
    {
        lock (_gathering)
        {
            (_dirty, _dirtyTaken) = (_dirtyTaken, _dirty);
            NeedsOrder = _revokes.Count > 0;
            foreach (HomeRange range in _revokes) record.AddRevoke(range);
            _revokes.Clear();
        }

        if (transaction is not null) Add(transaction, record);
        foreach (HomePage page in _dirtyTaken)
        {
            lock (page)
            {
                int start = 0;
                while (HomePage.NextRun(page.Dirty, ref start, out int length))
                {
                    record.AddImage(page.Offset + start, ContentClass.GuestData, page.Content(start, length));
                    Interlocked.Add(ref _pendingBytes, -length);
                    start += length;
                }

                if (page.Dirty != 0) page.LastTransaction = number;
                page.Dirty = 0;
            }
        }

        _dirtyTaken.Clear();
    }

    /// <summary>Shows an after-image that a transaction's record holds.</summary>
    public void Show(ulong transaction, long offset, ReadOnlySpan<byte> bytes)
    {
        Extend(offset + bytes.Length);
        while (bytes.Length > 0)
        {
            (long pageOffset, int start, int length) = Part(offset, bytes.Length);
            HomePage page = Lock(pageOffset);
            try
            {
                LoadEdges(page, start, length);
                page.Put(start, bytes[..length]);
                page.Valid |= HomePage.GranulesOf(start, length);
                page.LastTransaction = transaction;
            }
            finally
            {
                Monitor.Exit(page);
            }

            offset += length;
            bytes = bytes[length..];
        }
    }

    private static void Add(MetadataTransaction transaction, RecordBuilder record)
    {
        for (int i = 0; i < transaction.Revoked.Count; i++) record.AddRevoke(transaction.Revoked[i]);
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                record.AddImage(image.Offset, image.Content, transaction.Bytes(image));
            }
        }
    }

    private static (long PageOffset, int Start, int Length) Part(long offset, int length)
    {
        long pageOffset = offset & -HomePage.Bytes;
        int start = (int)(offset - pageOffset);
        return (pageOffset, start, Math.Min(length, HomePage.Bytes - start));
    }

    /// <summary>The granules at the ends of a range must be whole before a part of them changes.</summary>
    private void LoadEdges(HomePage page, int start, int length)
    {
        LoadGranule(page, start / HomePage.GranuleBytes, start % HomePage.GranuleBytes != 0 || length < HomePage.GranuleBytes);
        LoadGranule(page, (start + length - 1) / HomePage.GranuleBytes, (start + length) % HomePage.GranuleBytes != 0);
    }

    private void LoadGranule(HomePage page, int granule, bool isPartial)
    {
        if (!isPartial || (page.Valid & (1UL << granule)) != 0) return;
        Span<byte> bytes = stackalloc byte[HomePage.GranuleBytes];
        int start = granule * HomePage.GranuleBytes;
        int got = _inner.Read(page.Offset + start, bytes);
        bytes[got..].Clear();
        page.Put(start, bytes);
        page.Valid |= 1UL << granule;
    }

    private void Absorb(long offset, ReadOnlySpan<byte> data)
    {
        long end = offset + data.Length;
        while (data.Length > 0)
        {
            (long pageOffset, int start, int length) = Part(offset, data.Length);
            HomePage page = Lock(pageOffset);
            try
            {
                PutDirty(page, start, data[..length]);
            }
            finally
            {
                Monitor.Exit(page);
            }

            offset += length;
            data = data[length..];
        }

        Extend(end);
    }

    /// <summary>Under the page's lock: bytes that the next record must carry. Their granules are held already, or covered whole.</summary>
    private void PutDirty(HomePage page, int start, ReadOnlySpan<byte> bytes)
    {
        ulong granules = HomePage.GranulesOf(start, bytes.Length);
        page.Put(start, bytes);
        page.Valid |= granules;
        ulong added = granules & ~page.Dirty;
        if (added == 0) return;
        Interlocked.Add(ref _pendingBytes, BitOperations.PopCount(added) * HomePage.GranuleBytes);
        bool isNew = page.Dirty == 0;
        page.Dirty |= granules;
        if (!isNew) return;
        lock (_gathering) _dirty.Add(page);
    }

    /// <summary>The page of an offset, added if need be, locked, with nobody superseding it.</summary>
    private HomePage Lock(long pageOffset)
    {
        while (true)
        {
            HomePage page = Pages.FindOrAdd(pageOffset);
            Monitor.Enter(page);
            while (page.IsBeingSuperseded && page.Offset == pageOffset) Monitor.Wait(page);
            if (page.Offset == pageOffset) return page;
            Monitor.Exit(page);
        }
    }

    private void WriteOverPages(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        List<HomePage>? superseded = null;
        long first = offset & -HomePage.Bytes;
        for (long pageOffset = first; pageOffset < offset + data.Length; pageOffset += HomePage.Bytes)
        {
            if (Pages.Find(pageOffset) is not { } page) continue;
            lock (page)
            {
                // One that is being superseded by another write, or written by a checkpoint, is done with soon.
                while (page.Offset == pageOffset && (page.IsBeingSuperseded || page.IsBeingWritten)) Monitor.Wait(page);
                if (page.Offset != pageOffset) continue;
                int start = (int)Math.Max(0, offset - pageOffset);
                int end = (int)Math.Min(HomePage.Bytes, offset + data.Length - pageOffset);
                ReadOnlySpan<byte> part = data.Slice((int)(pageOffset + start - offset), end - start);
                if (start == 0 && end == HomePage.Bytes && Interlocked.Read(ref _pendingBytes) + HomePage.Bytes > _settings.MaxPendingBytes)
                {
                    page.IsBeingSuperseded = true;
                    (superseded ??= []).Add(page);
                }
                else
                {
                    PutHeldParts(page, start, part);
                }
            }
        }

        bool written = false;
        try
        {
            _inner.Write(offset, data, content);
            written = true;
            Volatile.Write(ref _wroteHome, 1);
        }
        finally
        {
            if (superseded is not null) EndSuperseding(superseded, written);
        }
    }

    /// <summary>A page that a write covered wholly leaves, and no replay may bring its bytes back. After a write that failed it stays.</summary>
    private void EndSuperseding(List<HomePage> superseded, bool written)
    {
        foreach (HomePage page in superseded)
        {
            lock (page)
            {
                page.IsBeingSuperseded = false;
                if (written)
                {
                    Interlocked.Add(ref _pendingBytes, -(long)BitOperations.PopCount(page.Dirty) * HomePage.GranuleBytes);
                    lock (_gathering)
                    {
                        if (page.Dirty != 0) _ = _dirty.Remove(page);
                        _revokes.Add(new HomeRange(page.Offset, HomePage.Bytes));
                    }

                    Pages.Remove(page);
                }

                Monitor.PulseAll(page);
            }
        }
    }

    /// <summary>Under the page's lock: a write that goes home is put into the granules held here as well.</summary>
    private void PutHeldParts(HomePage page, int start, ReadOnlySpan<byte> bytes)
    {
        ulong held = page.Valid & HomePage.GranulesOf(start, bytes.Length);
        int at = 0;
        while (HomePage.NextRun(held, ref at, out int length))
        {
            int from = Math.Max(at, start);
            int to = Math.Min(at + length, start + bytes.Length);
            PutDirty(page, from, bytes[(from - start)..(to - start)]);
            at += length;
        }
    }

    /// <summary>One attempt at a read: what pages hold over what home holds.</summary>
    /// <returns>False when a page left meanwhile: home, read before, may have been older than it.</returns>
    private bool TryReadThrough(long offset, Span<byte> buffer, bool mayWait, out int got)
    {
        got = 0;
        while (got < buffer.Length)
        {
            int piece = (int)Math.Min(buffer.Length - got, (long)(HeldPages.Length * HomePage.Bytes) - ((offset + got) % HomePage.Bytes));
            if (!TryReadPiece(offset + got, buffer.Slice(got, piece), mayWait, out int part)) return false;
            got += part;
            if (part < piece) break;
        }

        return true;
    }

    private bool TryReadPiece(long offset, Span<byte> buffer, bool mayWait, out int got)
    {
        var held = default(HeldPages);
        int count = 0;
        // Found before home is read: should a checkpoint bring a page home in between, the page's bytes are as good as home's.
        for (long pageOffset = offset & -HomePage.Bytes; pageOffset < offset + buffer.Length; pageOffset += HomePage.Bytes)
            held[count++] = Pages.Find(pageOffset);

        if (mayWait)
        {
            got = _inner.Read(offset, buffer);
        }
        else
        {
            got = 0;
            if (!_nonBlocking!.TryRead(offset, buffer)) return false;
            got = buffer.Length;
        }

        int there = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        if (got < there)
        {
            buffer[got..there].Clear();
            got = there;
        }

        for (int i = 0; i < count; i++)
        {
            long pageOffset = (offset & -HomePage.Bytes) + ((long)i * HomePage.Bytes);
            if (held[i] is { } page && !TryCopy(page, pageOffset, offset, buffer)) return false;
        }

        return true;
    }

    private static bool TryCopy(HomePage page, long pageOffset, long offset, Span<byte> buffer)
    {
        lock (page)
        {
            if (page.Offset != pageOffset) return false;
            int at = 0;
            while (HomePage.NextRun(page.Valid, ref at, out int length))
            {
                long from = Math.Max(pageOffset + at, offset);
                long to = Math.Min(pageOffset + at + length, offset + buffer.Length);
                if (from < to) page.Content((int)(from - pageOffset), (int)(to - from)).CopyTo(buffer[(int)(from - offset)..]);
                at += length;
            }

            return true;
        }
    }

    private bool NoteWrite(bool happened)
    {
        if (happened) NoteWrite();
        return happened;
    }

    private void Extend(long end)
    {
        long seen = Volatile.Read(ref _end);
        while (end > seen)
        {
            long before = Interlocked.CompareExchange(ref _end, end, seen);
            if (before == seen) return;
            seen = before;
        }
    }

    /// <summary>The pages of one piece of a read.</summary>
    [InlineArray(Length)]
    private struct HeldPages
    {
        public const int Length = 64;

        private HomePage? _first;
    }
}
