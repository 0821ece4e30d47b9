namespace StoragePlugins.Journaling;

/// <summary>
/// Finds the chain of records that a replay needs, judges all of it, and only then brings it home. Idempotent: what a crash inside leaves is replayed
/// again, since nothing in the log changes.
/// </summary>
internal sealed class LogReplay(IRecordLog log, RecordIdentity identity, IJournalSite site)
{
    /// <summary>Pages that a replay for reading only may hold in memory: several times what a session's overlay holds.</summary>
    private const int MaxPagesForReading = (256 << 20) / OverlayPage.Size;

    private readonly List<(long Position, RecordHeader Header)> _chain = [];
    private readonly RevokeMap _revokes = new();
    private byte[] _payload = [];

    public int Records => _chain.Count;

    /// <summary>Records that hold bytes for home.</summary>
    public int Transactions { get; private set; }

    public long BytesWritten { get; private set; }

    /// <summary>What home's length has to be at least.</summary>
    public long HomeLength => _chain.Count == 0 ? 0 : _chain[^1].Header.HomeLength;

    /// <summary>Looks for records and judges them. Reads only.</summary>
    /// <exception cref="DiagnosticException">SP3102, SP3103, SP3104: no crash leaves such a log.</exception>
    public void Scan()
    {
        var found = new Dictionary<ulong, (long Position, RecordHeader Header)>();
        ulong newest = 0;
        for (long position = 0; position < log.Capacity;)
        {
            if (!log.TryRead(position, identity, ref _payload, out RecordHeader header))
            {
                position += log.Alignment;
                continue;
            }

            if (!found.TryGetValue(header.Txid, out (long, RecordHeader Header) other) || other.Header.Attempt < header.Attempt)
                found[header.Txid] = (position, header);
            newest = Math.Max(newest, header.Txid);
            position += (log.HeaderBytes + header.PayloadLength + log.Alignment - 1) & -log.Alignment;
        }

        if (newest == 0) return;
        for (ulong txid = found[newest].Header.TailTxid; txid <= newest; txid++)
        {
            if (!found.TryGetValue(txid, out (long, RecordHeader) record))
                throw new DiagnosticException("SP3102", $"the journal is damaged: record {txid} is missing though record {newest} needs it", site.ImageName,
                    expected: $"records {found[newest].Header.TailTxid} to {newest}", found: $"{found.Count} records without {txid}",
                    fix: "restore a backup, or copy the image and run: sphost image recover --discard-journal");
            _chain.Add(record);
        }

        foreach ((long position, RecordHeader header) in _chain) Judge(position, header);
    }

    /// <summary>Brings the chain home.</summary>
    public void WriteHome(IOrderedMedium home)
    {
        foreach ((long position, RecordHeader header) in _chain)
        {
            var reader = new RecordReader(Load(position, header));
            while (reader.Next())
            {
                if (!IsReplayed(reader.Kind, header.Txid)) continue;
                long end = reader.Offset + reader.Length;
                for (long start = reader.Offset; start < end;)
                {
                    long kept = _revokes.NextKept(ref start, end, header.Txid);
                    if (start < kept) home.Write(start, reader.Bytes[(int)(start - reader.Offset)..(int)(kept - reader.Offset)], ContentClass.Checkpoint);
                    BytesWritten += kept - start;
                    start = kept;
                }
            }
        }

        if (home.Length < HomeLength) home.SetLength(HomeLength);
    }

    /// <summary>Lays the chain over home, for an image that must not be written.</summary>
    /// <exception cref="DiagnosticException">SP3106: it is too much to hold in memory.</exception>
    public void WriteOver(PageTable pages, PageReader pageReader)
    {
        foreach ((long position, RecordHeader header) in _chain)
        {
            var reader = new RecordReader(Load(position, header));
            while (reader.Next())
            {
                if (!IsReplayed(reader.Kind, header.Txid)) continue;
                long end = reader.Offset + reader.Length;
                for (long start = reader.Offset; start < end;)
                {
                    long kept = _revokes.NextKept(ref start, end, header.Txid);
                    if (start < kept) LayOver(pages, pageReader, start, reader.Bytes[(int)(start - reader.Offset)..(int)(kept - reader.Offset)], header.Txid);
                    start = kept;
                }
            }
        }

        pages.Extend(HomeLength);
    }

    private static bool IsImage(EntryKind kind) => kind is EntryKind.Image or EntryKind.Copy;

    /// <summary>A copy of data matters only in the newest record: where there is a later one, the data itself persisted before that.</summary>
    private bool IsReplayed(EntryKind kind, ulong txid) => kind == EntryKind.Image || (kind == EntryKind.Copy && txid == _chain[^1].Header.Txid);

    private void Judge(long position, in RecordHeader header)
    {
        bool hasImages = false;
        if (header.HomeLength < 0) throw Malformed(header.Txid);
        var reader = new RecordReader(Load(position, header));
        while (reader.Next())
        {
            if (!IsImage(reader.Kind))
            {
                _revokes.Add(reader.Offset, reader.Offset + reader.Length, header.Txid);
                continue;
            }

            hasImages = true;
            if (!site.IsHome(reader.Offset, reader.Length))
                throw new DiagnosticException("SP3103", $"the journal is damaged: record {header.Txid} writes where no replay may write", site.ImageName,
                    expected: "the image's tables and data", found: $"{reader.Length} bytes at {reader.Offset}",
                    fix: "restore a backup, or copy the image and run: sphost image recover --discard-journal");
        }

        if (reader.IsMalformed) throw Malformed(header.Txid);
        if (hasImages) Transactions++;
    }

    private DiagnosticException Malformed(ulong txid) => new("SP3104", $"the journal is damaged: record {txid} cannot be read though its checksum is right", site.ImageName,
        fix: "use the version of sphost that wrote it, or copy the image and run: sphost image recover --discard-journal");

    private ReadOnlySpan<byte> Load(long position, in RecordHeader header)
    {
        if (!log.TryRead(position, identity, ref _payload, out RecordHeader again) || again != header)
            throw new StorageException(StorageError.Io, "read the journal", site.ImageName, position, header.PayloadLength, $"record {header.Txid} changed while it was replayed");
        return _payload.AsSpan(0, header.PayloadLength);
    }

    private void LayOver(PageTable pages, PageReader pageReader, long offset, ReadOnlySpan<byte> bytes, ulong txid)
    {
        PagePart part;
        for (int at = 0; at < bytes.Length; at += part.Length)
        {
            part = PagePart.Of(offset, at, bytes.Length);
            PageStripe stripe = pages.StripeOf(offset + at);
            lock (stripe)
            {
                OverlayPage? page = stripe.Find(part.Page);
                if (page is null)
                {
                    if (pages.Count >= MaxPagesForReading)
                        throw new DiagnosticException("SP3106", "the journal holds too much to show the image without writing it", site.ImageName,
                            found: $"more than {MaxPagesForReading} pages", fix: "run: sphost image recover");
                    page = pages.TakePage();
                    pageReader.ReadHome(part.Page << OverlayPage.Bits, page.Bytes);
                    pages.Add(stripe, page, part.Page);
                }

                bytes.Slice(at, part.Length).CopyTo(page.Bytes.AsSpan(part.InPage));
                page.LastTxid = txid;
            }
        }

        pages.Extend(offset + bytes.Length);
    }
}
