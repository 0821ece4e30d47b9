using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace StoragePlugins.Journaling;

/// <summary>Finds the records that a replay needs, judges all of them before it writes anything, and applies them in order.</summary>
/// <remarks>Idempotent: records are after-images, and the log is not changed. A crash inside is repaired by the next recovery.</remarks>
internal sealed class Recovery(IJournalSite site, ILogStorage log, uint seed)
{
    private readonly SortedDictionary<ulong, (long Position, RecordHeader Header)> _found = [];

    /// <summary>By page: ranges that a transaction revoked.</summary>
    private readonly Dictionary<long, List<(ulong Transaction, HomeRange Range)>> _revoked = [];
    private long _bytes;

    /// <summary>Replays.</summary>
    /// <param name="medium">Written when not null, and made durable.</param>
    /// <param name="home">Shows the after-images where nothing may be written.</param>
    /// <exception cref="DiagnosticException">SP3101: a record in the middle is missing. SP3102: a record names what is no home.</exception>
    public RecoveryReport Run(IOrderedMedium? medium, JournaledHome home)
    {
        Scan();
        if (_found.Count == 0) return new RecoveryReport(false, 0, 0, "it was not closed cleanly; its journal was empty");
        List<(long Position, RecordHeader Header)> records = Chain();
        byte[] buffer = new byte[records.Max(r => RecordHeader.Bytes + r.Header.PayloadBytes)];
        foreach ((long position, RecordHeader header) in records) Judge(Load(position, header, buffer), header);

        long length = records[^1].Header.HomeLength;
        if (medium is not null && medium.Length < length) medium.SetLength(length);
        foreach ((long position, RecordHeader header) in records) Apply(Load(position, header, buffer), header, medium, home);
        medium?.Flush();
        return new RecoveryReport(false, records.Count, _bytes, medium is null
            ? $"it was not closed cleanly; {Count(records.Count)} of its journal are shown, and not written"
            : $"it was not closed cleanly; {Count(records.Count)} of its journal were replayed ({_bytes} bytes)");
    }

    private static string Count(int records) => records == 1 ? "1 record" : $"{records} records";

    private void Scan()
    {
        Span<byte> head = stackalloc byte[RecordHeader.Bytes];
        byte[] buffer = [];
        for (long position = 0; position <= log.Length - log.Alignment;)
        {
            long step = log.Alignment;
            log.Read(position, head);
            if (RecordHeader.TryRead(head, out RecordHeader header) && header.PayloadBytes <= log.Length - position - RecordHeader.Bytes)
            {
                int bytes = RecordHeader.Bytes + header.PayloadBytes;
                if (buffer.Length < bytes) buffer = new byte[bytes];
                log.Read(position, buffer.AsSpan(0, bytes));
                if (RecordHeader.IsIntact(buffer.AsSpan(0, bytes), seed))
                {
                    _found[header.Transaction] = (position, header);
                    step = (bytes + log.Alignment - 1L) & -log.Alignment;
                }
            }

            position += step;
        }
    }

    /// <summary>The records from the newest one's tail to itself. What lies behind the last valid one was never acknowledged; a hole before it was.</summary>
    private List<(long, RecordHeader)> Chain()
    {
        RecordHeader newest = _found[_found.Keys.Last()].Header;
        var records = new List<(long, RecordHeader)>();
        for (ulong transaction = newest.TailTransaction; transaction <= newest.Transaction; transaction++)
        {
            if (!_found.TryGetValue(transaction, out (long Position, RecordHeader Header) record))
                throw new DiagnosticException("SP3101", "the journal is damaged: a record is missing though a later one is there", site.ImageName,
                    $"records {newest.TailTransaction} to {newest.Transaction}", $"no valid record {transaction}",
                    "copy the image, then run: sphost image recover --discard-journal");
            records.Add(record);
        }

        return records;
    }

    private Span<byte> Load(long position, in RecordHeader header, byte[] buffer)
    {
        log.Read(position, buffer.AsSpan(0, RecordHeader.Bytes + header.PayloadBytes));
        return buffer.AsSpan(RecordHeader.Bytes, header.PayloadBytes);
    }

    private void Judge(ReadOnlySpan<byte> payload, in RecordHeader header)
    {
        Require((long)header.Revokes * RecordHeader.RevokeBytes <= payload.Length && header is { Revokes: >= 0, Images: >= 0 }, header);
        for (int i = 0; i < header.Revokes; i++, payload = payload[RecordHeader.RevokeBytes..])
        {
            var range = new HomeRange(BinaryPrimitives.ReadInt64LittleEndian(payload), BinaryPrimitives.ReadInt64LittleEndian(payload[8..]));
            Require(range is { Offset: >= 0, Length: > 0 } && range.Offset <= long.MaxValue - range.Length, header);
            for (long page = range.Offset / HomePage.Bytes; page <= (range.Offset + range.Length - 1) / HomePage.Bytes; page++)
            {
                ref List<(ulong, HomeRange)>? list = ref CollectionsMarshal.GetValueRefOrAddDefault(_revoked, page, out _);
                (list ??= []).Add((header.Transaction, range));
            }
        }

        for (int i = 0; i < header.Images; i++)
        {
            Require(payload.Length >= RecordHeader.ImageHeaderBytes, header);
            long offset = BinaryPrimitives.ReadInt64LittleEndian(payload);
            int length = BinaryPrimitives.ReadInt32LittleEndian(payload[8..]);
            Require(length > 0 && length <= payload.Length - RecordHeader.ImageHeaderBytes && site.IsHome(offset, length), header);
            payload = payload[(RecordHeader.ImageHeaderBytes + length)..];
        }

        Require(payload.IsEmpty, header);
    }

    private void Apply(ReadOnlySpan<byte> payload, in RecordHeader header, IOrderedMedium? medium, JournaledHome home)
    {
        payload = payload[(header.Revokes * RecordHeader.RevokeBytes)..];
        for (int i = 0; i < header.Images; i++)
        {
            long offset = BinaryPrimitives.ReadInt64LittleEndian(payload);
            int length = BinaryPrimitives.ReadInt32LittleEndian(payload[8..]);
            ApplyImage(header.Transaction, offset, payload.Slice(RecordHeader.ImageHeaderBytes, length), medium, home);
            payload = payload[(RecordHeader.ImageHeaderBytes + length)..];
        }
    }

    /// <summary>Applies what no later transaction revoked.</summary>
    private void ApplyImage(ulong transaction, long offset, ReadOnlySpan<byte> bytes, IOrderedMedium? medium, JournaledHome home)
    {
        while (bytes.Length > 0)
        {
            int part = (int)Math.Min(bytes.Length, HomePage.Bytes - (offset % HomePage.Bytes));
            bool skip = false;
            foreach ((ulong revoker, HomeRange range) in CollectionsMarshal.AsSpan(_revoked.GetValueOrDefault(offset / HomePage.Bytes)))
            {
                if (revoker <= transaction || range.Offset >= offset + part || range.Offset + range.Length <= offset) continue;
                // Up to where the range begins there is something to apply; from where it begins to its end there is not.
                if (range.Offset > offset)
                {
                    part = (int)(range.Offset - offset);
                    continue;
                }

                part = (int)Math.Min(part, range.Offset + range.Length - offset);
                skip = true;
                break;
            }

            if (!skip)
            {
                if (medium is null) home.Show(transaction, offset, bytes[..part]);
                else medium.Write(offset, bytes[..part], ContentClass.Checkpoint);
                _bytes += part;
            }

            offset += part;
            bytes = bytes[part..];
        }
    }

    private void Require(bool holds, in RecordHeader header)
    {
        if (!holds)
            throw new DiagnosticException("SP3102", "the journal is damaged: a record with a valid checksum names what it must not", site.ImageName,
                "ranges of the image outside the journal and the header's mark", $"record {header.Transaction}", "report this; the image was not changed");
    }
}
