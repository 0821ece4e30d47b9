namespace StoragePlugins.Journaling;

/// <summary>Reads home as the overlay shows it: pages first, then what lies between them from the medium.</summary>
/// <remarks>
/// In this order a checkpoint in between is harmless: what was a page is copied already, and what was none is home already. No lock is held while
/// the medium is read. Nothing is allocated.
/// </remarks>
internal sealed class PageReader(IOrderedMedium home, PageTable pages)
{
    private readonly INonBlockingMedium? _nonBlocking = home.GetCapability<INonBlockingMedium>();

    public bool CanTry => _nonBlocking is not null;

    /// <summary>Reads a range inside the length of home, pages included.</summary>
    public void Read(long offset, Span<byte> buffer) => _ = Read(offset, buffer, mayWait: true);

    /// <summary>Reads what needs no waiting; false when that is not all.</summary>
    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer, mayWait: false);

    /// <summary>Reads the medium alone; beyond its end there are zeros until a checkpoint extends it.</summary>
    public void ReadHome(long offset, Span<byte> buffer)
    {
        int there = home.Read(offset, buffer);
        buffer[there..].Clear();
    }

    private bool Read(long offset, Span<byte> buffer, bool mayWait)
    {
        if (pages.Count == 0) return ReadRun(offset, buffer, mayWait);
        int from = 0;
        for (int at = 0; at < buffer.Length;)
        {
            int length = (int)Math.Min(buffer.Length - at, PageTable.RegionBytes - ((offset + at) & (PageTable.RegionBytes - 1)));
            if (pages.MayHavePages(offset + at))
            {
                if (!ReadRun(offset + from, buffer[from..at], mayWait) || !ReadPiece(offset + at, buffer.Slice(at, length), mayWait)) return false;
                from = at + length;
            }

            at += length;
        }

        return ReadRun(offset + from, buffer[from..], mayWait);
    }

    private bool ReadPiece(long offset, Span<byte> piece, bool mayWait)
    {
        PageSet covered = default;
        PageStripe stripe = pages.StripeOf(offset);
        lock (stripe)
        {
            PagePart part;
            for (int at = 0, index = 0; at < piece.Length; at += part.Length, index++)
            {
                part = PagePart.Of(offset, at, piece.Length);
                if (stripe.Find(part.Page) is not { } page) continue;
                page.Bytes.AsSpan(part.InPage, part.Length).CopyTo(piece[at..]);
                covered.Add(index);
            }
        }

        int from = 0;
        PagePart next;
        for (int at = 0, index = 0; at < piece.Length; at += next.Length, index++)
        {
            next = PagePart.Of(offset, at, piece.Length);
            if (!covered.Has(index)) continue;
            if (!ReadRun(offset + from, piece[from..at], mayWait)) return false;
            from = at + next.Length;
        }

        return ReadRun(offset + from, piece[from..], mayWait);
    }

    private bool ReadRun(long offset, Span<byte> run, bool mayWait)
    {
        if (run.IsEmpty) return true;
        if (!mayWait) return _nonBlocking!.TryRead(offset, run);
        ReadHome(offset, run);
        return true;
    }
}
