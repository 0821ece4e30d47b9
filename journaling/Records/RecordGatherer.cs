using System.Numerics;

namespace StoragePlugins.Journaling;

/// <summary>
/// Puts together what one record holds, keeps the pages that it needs in place while it is written, and shows its after-images when it is there.
/// </summary>
/// <remarks>For the committing thread. Order inside a record: copies of data, then writes that ride, then the transaction: where they overlap, later counts.</remarks>
internal sealed class RecordGatherer(IOrderedMedium home, PageTable pages, PageReader reader, RecordBuilder builder, JournalStatistics statistics)
{
    private readonly List<OverlayPage> _pinned = [];
    private List<OverlayPage> _riding = [];

    /// <summary>Copies data from home into the record.</summary>
    public void AddCopy(HomeRange range)
    {
        long end = Math.Min(range.Offset + range.Length, Math.Max(home.Length, pages.End));
        for (long offset = range.Offset; offset < end;)
        {
            int length = (int)Math.Min(end - offset, PageTable.RegionBytes - (offset & (PageTable.RegionBytes - 1)));
            PageStripe stripe = pages.StripeOf(offset);
            long first = offset >> OverlayPage.Bits;
            long last = (offset + length - 1) >> OverlayPage.Bits;
            // No direct write is half done while it is copied: a replay must not make a torn sector of it.
            lock (stripe) stripe.Enter(first, last);
            try
            {
                reader.Read(offset, builder.Add(EntryKind.Copy, offset, length));
            }
            finally
            {
                lock (stripe) stripe.Exit(first, last);
            }

            statistics.CountCopied(length);
            offset += length;
        }
    }

    /// <summary>Adds what was written into pages since the last record.</summary>
    public void AddRiding()
    {
        _riding = pages.TakeDirtyPages(_riding);
        if (_riding.Count > 1) _riding.Sort(static (a, b) => a.Number.CompareTo(b.Number));
        foreach (OverlayPage page in _riding)
        {
            long number = page.Number;
            if (number < 0) continue;
            lock (pages.StripeOf(number << OverlayPage.Bits))
            {
                if (page.Number != number || page.Dirty == 0 || page.Riding != 0) continue;
                PageTable.Ride(page);
                AddGranules(page);
            }
        }
    }

    /// <summary>Adds the transaction and sees to it that its pages are there, so that nothing can fail once the record is written.</summary>
    public void AddTransaction(MetadataTransaction transaction)
    {
        long needed = transaction.ByteCount + ((transaction.Count + transaction.Revoked.Count) * (long)RecordBuilder.EntryBytes);
        if (needed > builder.Room)
            throw new StorageException(StorageError.NoSpace, "commit", home.Name, -1, needed, $"the transaction needs {needed} bytes of a record that has {builder.Room} left");
        for (int i = 0; i < transaction.Revoked.Count; i++) builder.AddRevoke(transaction.Revoked[i].Offset, transaction.Revoked[i].Length);
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                if (image.Offset > RecordBuilder.MaxOffset - image.Length) throw new ArgumentOutOfRangeException(nameof(transaction), image.Offset, "An after-image lies beyond 2^56.");
                transaction.Bytes(image).CopyTo(builder.Add(EntryKind.Image, image.Offset, image.Length));
                Pin(image);
            }
        }
    }

    /// <summary>The record is there: its after-images show, and what rode in it is part of it.</summary>
    public void Apply(MetadataTransaction transaction, ulong txid)
    {
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++) Apply(images[i], transaction.Bytes(images[i]), txid);
        }

        End(txid);
        for (int i = 0; i < transaction.Revoked.Count; i++) Drop(transaction.Revoked[i], txid);
    }

    /// <summary>The record is not there: everything is due again.</summary>
    public void Abandon() => End(0);

    private void AddGranules(OverlayPage page)
    {
        for (ulong rest = page.Riding; rest != 0;)
        {
            int first = BitOperations.TrailingZeroCount(rest);
            int count = BitOperations.TrailingZeroCount(~(rest >> first));
            int at = first * OverlayPage.GranuleBytes;
            int length = count * OverlayPage.GranuleBytes;
            page.Bytes.AsSpan(at, length).CopyTo(builder.Add(EntryKind.Image, page.Offset + at, length));
            rest = first + count == 64 ? 0 : rest & (ulong.MaxValue << (first + count));
        }
    }

    private void Pin(in AfterImage image)
    {
        PagePart part;
        for (int at = 0; at < image.Length; at += part.Length)
        {
            part = PagePart.Of(image.Offset, at, image.Length);
            if (_pinned.Count > 0 && _pinned[^1].Number == part.Page) continue;
            PageStripe stripe = pages.StripeOf(image.Offset + at);
            lock (stripe)
            {
                if (!stripe.HasAll(part.Page, part.Page)) stripe.Enter(part.Page, part.Page);
                else
                {
                    Pin(stripe.Find(part.Page)!);
                    continue;
                }

                // Whoever was inside may have made the page.
                if (stripe.Find(part.Page) is { } made)
                {
                    Pin(made);
                    stripe.Exit(part.Page, part.Page);
                    continue;
                }
            }

            Load(stripe, part.Page);
        }
    }

    /// <summary>Makes a page of what home has there. The range is inside the stripe, and leaves it.</summary>
    private void Load(PageStripe stripe, long number)
    {
        OverlayPage page = pages.TakePage();
        bool added = false;
        try
        {
            reader.ReadHome(number << OverlayPage.Bits, page.Bytes);
            lock (stripe)
            {
                pages.Add(stripe, page, number);
                Pin(page);
                added = true;
            }
        }
        finally
        {
            if (!added) pages.GiveBack(page);
            lock (stripe) stripe.Exit(number, number);
        }
    }

    private void Pin(OverlayPage page)
    {
        page.Pins++;
        _pinned.Add(page);
    }

    private void Apply(in AfterImage image, ReadOnlySpan<byte> bytes, ulong txid)
    {
        PagePart part;
        for (int at = 0; at < image.Length; at += part.Length)
        {
            part = PagePart.Of(image.Offset, at, image.Length);
            PageStripe stripe = pages.StripeOf(image.Offset + at);
            lock (stripe)
            {
                OverlayPage page = stripe.Find(part.Page)!;
                bytes.Slice(at, part.Length).CopyTo(page.Bytes.AsSpan(part.InPage));
                pages.Extend(image.Offset + at + part.Length);
                page.LastTxid = txid;
            }
        }
    }

    private void End(ulong txid)
    {
        bool failed = txid == 0;
        foreach (OverlayPage page in _riding)
        {
            lock (pages.StripeOf(page.Offset))
            {
                if (!failed && page.Riding != 0) page.LastTxid = txid;
                pages.EndRide(page, failed);
            }
        }

        _riding.Clear();
        foreach (OverlayPage page in _pinned)
        {
            PageStripe stripe = pages.StripeOf(page.Offset);
            lock (stripe)
            {
                page.Pins--;
                // Loaded for nothing.
                if (page.LastTxid == 0 && page.IsIdle) pages.Remove(stripe, page);
            }
        }

        _pinned.Clear();
    }

    /// <summary>Pages that the format freed need not come home. Large ranges are not searched: a checkpoint takes their pages away.</summary>
    private void Drop(in HomeRange range, ulong txid)
    {
        if (range.Length > 2L * PageTable.RegionBytes) return;
        long end = (range.Offset + range.Length) >> OverlayPage.Bits;
        for (long number = (range.Offset + OverlayPage.Size - 1) >> OverlayPage.Bits; number < end; number++)
        {
            PageStripe stripe = pages.StripeOf(number << OverlayPage.Bits);
            lock (stripe)
            {
                if (stripe.Find(number) is { IsIdle: true } page && page.LastTxid < txid) pages.Remove(stripe, page);
            }
        }
    }
}
