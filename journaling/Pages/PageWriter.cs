namespace StoragePlugins.Journaling;

/// <summary>
/// Writes home around the overlay. Where a page is, the write goes into the page, so that neither a replay nor a checkpoint can undo it;
/// elsewhere it goes to the medium, or, when it is small, into a new page to ride in the next record.
/// </summary>
/// <remarks>
/// <para>A write over a live page is journaled even when it is large. A revoke in its place would not do: if the record with the revoke persists
/// and the write does not, home shows what it held before the page's records, which is older than what was acknowledged.</para>
/// <para>Thread-safe; nothing is allocated. No lock is held while the medium is written, only the range inside the stripe.</para>
/// </remarks>
internal sealed class PageWriter(IOrderedMedium home, PageTable pages, PageReader reader, HomeSync sync, JournalSettings settings, DualModeChoice dualMode, Action commitHeld)
{
    /// <summary>Guests write whole sectors; what is not of them is left alone.</summary>
    private const int SectorMask = 511;

    private readonly Lock _end = new();
    private long _ridden;
    private volatile bool _isRecording;

    /// <summary>Set while the session has a log. Before and after, everything is direct.</summary>
    public bool IsRecording
    {
        get => _isRecording;
        set => _isRecording = value;
    }

    /// <summary>A commit takes everything that rides: the next may ride again.</summary>
    public void RecordBegins() => Interlocked.Exchange(ref _ridden, 0);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        sync.ThrowIfPoisoned();
        bool ride = MayRide(offset, data.Length, content);
        while (data.Length > 0)
        {
            int length = (int)Math.Min(data.Length, PageTable.RegionBytes - (offset & (PageTable.RegionBytes - 1)));
            WritePiece(offset, data[..length], content, ride);
            offset += length;
            data = data[length..];
        }
    }

    /// <summary>Makes a range read as zeros by an operation of the medium.</summary>
    /// <returns>False when the medium refuses. What lies before the refused piece has been done.</returns>
    public bool Clear(long offset, long length, Func<long, long, bool> operation)
    {
        while (length > 0)
        {
            int piece = PieceLength(offset, length);
            if (!ClearPiece(offset, piece, operation)) return false;
            offset += piece;
            length -= piece;
        }

        return true;
    }

    private int PieceLength(long offset, long length) =>
        (int)Math.Min(Math.Min(length, pages.MaxPiece), PageTable.RegionBytes - (offset & (PageTable.RegionBytes - 1)));

    /// <summary>More of a write lies over pages than one record holds.</summary>
    private void WriteInParts(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        while (data.Length > 0)
        {
            int length = PieceLength(offset, data.Length);
            WritePiece(offset, data[..length], content, ride: false);
            offset += length;
            data = data[length..];
        }
    }

    private bool MayRide(long offset, int length, ContentClass content)
    {
        if (content != ContentClass.GuestData || length > settings.MaxInline || !_isRecording || ((offset | (uint)length) & SectorMask) != 0) return false;
        dualMode.NoteSmallWrite();
        // A guest that writes much between its flushes gains nothing by writing it twice.
        return dualMode.Rides && Interlocked.Add(ref _ridden, length) <= settings.MaxInlinePerRecord;
    }

    private void WritePiece(long offset, ReadOnlySpan<byte> data, ContentClass content, bool ride)
    {
        PageStripe stripe = pages.StripeOf(offset);
        long first = offset >> OverlayPage.Bits;
        long last = (offset + data.Length - 1) >> OverlayPage.Bits;
        var work = new Pending();
        while (true)
        {
            lock (stripe)
            {
                bool direct = !stripe.HasAll(first, last);
                if (direct) stripe.Enter(first, last);
                bool fits = TryAbsorb(stripe, offset, data, ride, ref work);
                if (fits && !direct) return;
                if (fits && !work.Any) stripe.Exit(first, last);
                if (fits) break;
                if (direct) stripe.Exit(first, last);
            }

            sync.ThrowIfPoisoned();
            if (ride)
            {
                // What need not ride goes home instead of waiting for room.
                ride = false;
                continue;
            }

            if (data.Length > pages.MaxPiece)
            {
                WriteInParts(offset, data, content);
                return;
            }

            commitHeld();
        }

        if (!work.Any) return;
        try
        {
            WriteRuns(offset, data, content, work);
            LoadPages(stripe, offset, data, ref work);
        }
        finally
        {
            work.Abandon(pages);
            lock (stripe) stripe.Exit(first, last);
        }
    }

    /// <summary>Under the stripe's lock: writes into the pages that are there, makes pages for what rides, and notes the rest.</summary>
    /// <returns>False, and nothing is done, when the next record has no room for it.</returns>
    private bool TryAbsorb(PageStripe stripe, long offset, ReadOnlySpan<byte> data, bool ride, ref Pending work)
    {
        long needed = DirtyBytesNeeded(stripe, offset, data.Length, ride);
        if (!pages.TryReserveDirty(needed)) return false;
        PagePart part;
        for (int at = 0, index = 0; at < data.Length; at += part.Length, index++)
        {
            part = PagePart.Of(offset, at, data.Length);
            OverlayPage? page = stripe.Find(part.Page);
            if (page is null && ride && (page = pages.TryTakePage()) is not null)
            {
                if (!part.IsWhole)
                {
                    work.Load(page, part, index);
                    needed -= OverlayPage.BytesOf(part.Mask);
                    continue;
                }

                data.Slice(at, part.Length).CopyTo(page.Bytes);
                pages.Add(stripe, page, part.Page);
                pages.Extend(offset + at + part.Length);
                needed -= pages.MarkDirty(page, part.Mask);
            }
            else if (page is not null)
            {
                data.Slice(at, part.Length).CopyTo(page.Bytes.AsSpan(part.InPage));
                pages.Extend(offset + at + part.Length);
                needed -= pages.MarkDirty(page, part.Mask);
            }
            else
            {
                work.Direct(index);
            }
        }

        pages.GiveBackDirty(needed);
        return true;
    }

    private static long DirtyBytesNeeded(PageStripe stripe, long offset, int length, bool ride)
    {
        long needed = 0;
        PagePart part;
        for (int at = 0; at < length; at += part.Length)
        {
            part = PagePart.Of(offset, at, length);
            OverlayPage? page = stripe.Find(part.Page);
            if (page is not null || ride) needed += OverlayPage.BytesOf(part.Mask & ~(page?.Dirty ?? 0));
        }

        return needed;
    }

    /// <summary>Writes to the medium what found no page, neighbours in one write.</summary>
    private void WriteRuns(long offset, ReadOnlySpan<byte> data, ContentClass content, in Pending work)
    {
        int from = -1;
        PagePart part;
        for (int at = 0, index = 0; at < data.Length; at += part.Length, index++)
        {
            part = PagePart.Of(offset, at, data.Length);
            if (work.IsDirect(index))
            {
                if (from < 0) from = at;
            }
            else if (from >= 0)
            {
                WriteRun(offset + from, data[from..at], content);
                from = -1;
            }
        }

        if (from >= 0) WriteRun(offset + from, data[from..], content);
    }

    private void WriteRun(long offset, ReadOnlySpan<byte> run, ContentClass content)
    {
        long end = offset + run.Length;
        if (((offset | end) & SectorMask) == 0 || end <= home.Length) home.Write(offset, run, content);
        else WriteAtEnd(offset, run, content);
        sync.NoteDirect();
    }

    /// <summary>
    /// Writes past the medium's end, which may lie before the end that the format sees. A file that ended inside a sector could lose its end in a power cut,
    /// and with it a part of a later write to that sector. Under a lock: two writers may share the sector.
    /// </summary>
    private void WriteAtEnd(long offset, ReadOnlySpan<byte> run, ContentClass content)
    {
        Span<byte> zeros = stackalloc byte[SectorMask + 1];
        zeros.Clear();
        long end = offset + run.Length;
        lock (_end)
        {
            if (end > home.Length && (end & SectorMask) != 0) home.Write(end, zeros[..(int)(-end & SectorMask)], content);
            home.Write(offset, run, content);
        }
    }

    /// <summary>Pages of which the write covers a part: the first and the last of a small write at most.</summary>
    private void LoadPages(PageStripe stripe, long offset, ReadOnlySpan<byte> data, ref Pending work)
    {
        while (work.TryPeek(out OverlayPage page, out PagePart part))
        {
            reader.ReadHome(part.Page << OverlayPage.Bits, page.Bytes);
            data.Slice(part.At, part.Length).CopyTo(page.Bytes.AsSpan(part.InPage));
            lock (stripe)
            {
                pages.Add(stripe, page, part.Page);
                pages.Extend(offset + part.At + part.Length);
                // Its room was reserved when the page was noted.
                _ = pages.MarkDirty(page, part.Mask);
            }

            work.Loaded();
        }
    }

    private bool ClearPiece(long offset, int length, Func<long, long, bool> operation)
    {
        PageStripe stripe = pages.StripeOf(offset);
        long first = offset >> OverlayPage.Bits;
        long last = (offset + length - 1) >> OverlayPage.Bits;
        long reserved = EnterForClear(stripe, offset, length, first, last);
        try
        {
            if (!operation(offset, length)) return false;
            sync.NoteDirect();
            lock (stripe)
            {
                PagePart part;
                for (int at = 0; at < length; at += part.Length)
                {
                    part = PagePart.Of(offset, at, length);
                    if (stripe.Find(part.Page) is not { } page) continue;
                    page.Bytes.AsSpan(part.InPage, part.Length).Clear();
                    reserved -= pages.MarkDirty(page, part.Mask);
                }
            }

            return true;
        }
        finally
        {
            pages.GiveBackDirty(reserved);
            lock (stripe) stripe.Exit(first, last);
        }
    }

    private long EnterForClear(PageStripe stripe, long offset, int length, long first, long last)
    {
        while (true)
        {
            lock (stripe)
            {
                stripe.Enter(first, last);
                // Granules that ride now may be due again when the pages are cleared, so all are counted.
                long needed = 0;
                PagePart part;
                for (int at = 0; at < length; at += part.Length)
                {
                    part = PagePart.Of(offset, at, length);
                    if (stripe.Find(part.Page) is not null) needed += OverlayPage.BytesOf(part.Mask);
                }

                if (pages.TryReserveDirty(needed)) return needed;
                stripe.Exit(first, last);
            }

            sync.ThrowIfPoisoned();
            commitHeld();
        }
    }

    /// <summary>What of a piece is left to do without the lock: runs for the medium, and at most two pages to load.</summary>
    private struct Pending
    {
        private PageSet _direct;
        private bool _anyDirect;
        private OverlayPage? _first, _second;
        private PagePart _firstPart, _secondPart;

        public readonly bool Any => _anyDirect || _first is not null;

        public readonly bool IsDirect(int index) => _direct.Has(index);

        public void Direct(int index)
        {
            _direct.Add(index);
            _anyDirect = true;
        }

        public void Load(OverlayPage page, PagePart part, int index)
        {
            if (_first is null) (_first, _firstPart) = (page, part);
            else if (_second is null) (_second, _secondPart) = (page, part);
            else throw new InvalidOperationException($"More than two pages of a write are covered in part (page {index}).");
        }

        public readonly bool TryPeek(out OverlayPage page, out PagePart part)
        {
            (page, part) = (_first!, _firstPart);
            return _first is not null;
        }

        public void Loaded() => (_first, _firstPart, _second, _secondPart) = (_second, _secondPart, null, default);

        /// <summary>Gives back what was not loaded because something failed.</summary>
        public void Abandon(PageTable pages)
        {
            while (TryPeek(out OverlayPage page, out PagePart part))
            {
                pages.GiveBackDirty(OverlayPage.BytesOf(part.Mask));
                pages.GiveBack(page);
                Loaded();
            }
        }
    }
}
