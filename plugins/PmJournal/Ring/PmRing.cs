using System.Buffers.Binary;

namespace StoragePlugins.PmJournal.Ring;

/// <summary>
/// Records in a ring of 64-byte lines. Only aligned 8-byte words of a line are atomic, and until the fence any of them may be there and others not.
/// </summary>
/// <remarks>
/// <para>Two kinds of record. <b>Line</b>: one cache line, made valid by its checksum; one fence. <b>Marked</b>: as many lines as it takes with an empty
/// mark, a fence, then the commit mark (8 bytes, so atomic), a fence. In the msync domain, where a wait costs a disk flush, every longer record is stored
/// with its mark at once and its checksum decides.</para>
/// <para>Where a mark comes after a fence, a valid mark over a wrong checksum is no crash but damage, and is reported as such.</para>
/// <para>Positions are virtual: they only rise; the place is the position modulo the ring. A record is never split: what is left of a lap is skipped. Two lines
/// before the ring take turns in holding the tail, the oldest record that a recovery needs.</para>
/// <para>One caller at a time.</para>
/// </remarks>
internal sealed class PmRing
{
    /// <summary>What the CPU writes back as one.</summary>
    public const int LineBytes = 64;

    /// <summary>The most content of a record that is one line.</summary>
    public const int LineContentBytes = LineBytes - LineHeadBytes;

    // Line record: checksum (4), length (2), kind (2), transaction (8), content.
    private const int LineHeadBytes = 16;
    private const ushort LineKind = 0x4c50;

    // Marked record: commit mark (8), checksum (4), length (4), transaction (8), content.
    private const int MarkedHeadBytes = 24;

    // Tail: checksum (4), 0 (4), transaction (8), position (8).
    private const int TailBytes = 24;
    private const int TailSlots = 2;

    /// <summary>How much of the ring is looked at in one view.</summary>
    private const int ScanBytes = 4096;

    private readonly IPersistentMemory _memory;
    private readonly RecordSeal _seal;
    private readonly long _tailOffset, _offset, _length;
    private readonly bool _marksFirst;

    private long _head, _tail;
    private ulong _nextTransaction, _tailTransaction;
    private int _tailSlot;

    /// <param name="memory">Where the ring lies.</param>
    /// <param name="offset">Its first byte, a multiple of 64: two lines for the tail, then the records.</param>
    /// <param name="length">Its length with the tail lines, a multiple of 64.</param>
    /// <param name="seal">Of this session.</param>
    /// <param name="writtenByMsync">Whether the records there were, or are to be, stored in the msync domain.</param>
    public PmRing(IPersistentMemory memory, long offset, long length, RecordSeal seal, bool writtenByMsync)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(offset % LineBytes, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(length % LineBytes, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, memory.Length - length);
        _memory = memory;
        _seal = seal;
        _tailOffset = offset;
        _offset = offset + (TailSlots * LineBytes);
        _length = length - (TailSlots * LineBytes);
        _marksFirst = writtenByMsync;
    }

    /// <summary>Bytes for records.</summary>
    public long Capacity => _length;

    /// <summary>Bytes between tail and head, skipped ends of laps included.</summary>
    public long Used => _head - _tail;

    /// <summary>Records that a recovery would replay.</summary>
    public long Live => (long)(_nextTransaction - _tailTransaction);

    /// <summary>Where the next record begins, unless it has to start a new lap.</summary>
    public long Head => _head;

    /// <summary>The transaction that the next record must have.</summary>
    public ulong NextTransaction => _nextTransaction;

    /// <summary>Bytes that a record takes, without what it may skip at the end of a lap.</summary>
    public static long RecordBytes(long contentBytes) =>
        contentBytes <= LineContentBytes ? LineBytes : (MarkedHeadBytes + contentBytes + LineBytes - 1) / LineBytes * LineBytes;

    /// <summary>Begins a session: an empty ring. Durable on return.</summary>
    public void Initialize(ulong firstTransaction)
    {
        (_head, _tail, _nextTransaction, _tailTransaction, _tailSlot) = (0, 0, firstTransaction, firstTransaction, 0);
        for (int slot = 0; slot < TailSlots; slot++) StoreTail(slot, firstTransaction, 0);
    }

    /// <summary>Whether a record of so much content would find room now.</summary>
    public bool HasRoom(long contentBytes) => Place(RecordBytes(contentBytes)) + RecordBytes(contentBytes) - _tail <= _length;

    /// <summary>Stores a record. Durable on return, all of it or, after a crash within, nothing.</summary>
    /// <returns>Its position.</returns>
    /// <exception cref="InvalidOperationException">There is no room: ask first.</exception>
    public long Append(ReadOnlySpan<byte> content)
    {
        long bytes = RecordBytes(content.Length);
        long position = Place(bytes);
        if (position + bytes - _tail > _length) throw new InvalidOperationException($"A record of {bytes} bytes does not fit: {_length - Used} of {_length} are free.");
        if (content.Length <= LineContentBytes) StoreLine(position, content);
        else StoreMarked(position, content);
        _head = position + bytes;
        _nextTransaction++;
        return position;
    }

    /// <summary>Gives up what lies before a record. Durable on return; only then is its room used again.</summary>
    /// <param name="transaction">The oldest that a recovery still needs, or the next one.</param>
    /// <param name="position">Where it is, or <see cref="Head"/>.</param>
    public void MoveTail(ulong transaction, long position)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(transaction, _tailTransaction);
        ArgumentOutOfRangeException.ThrowIfLessThan(position, _tail);
        if ((transaction, position) == (_tailTransaction, _tail)) return;
        StoreTail(_tailSlot ^ 1, transaction, position);
        _tailSlot ^= 1;
        (_tailTransaction, _tail) = (transaction, position);
    }

    /// <summary>Gives up all records; the next one, of so much content, finds room unless it is larger than the ring.</summary>
    public void MakeEmpty(long contentBytes)
    {
        long bytes = RecordBytes(contentBytes);
        // Where what is left of the lap and what is free before it are both too short, a lap begins.
        if (Place(bytes) + bytes - _head > _length) _head = Place(bytes);
        MoveTail(_nextTransaction, _head);
    }

    /// <summary>Reads all records from the tail on and makes ready to append behind them.</summary>
    /// <param name="found">Receives each record, oldest first: transaction, position, content. The content is valid during the call.</param>
    /// <returns>What is damaged in a way that no crash explains; <see langword="null"/> when all is well.</returns>
    public string? Scan(Action<ulong, long, ReadOnlyMemory<byte>> found)
    {
        if (!ReadTail()) return "neither of the two tail lines is valid";
        long position = _tail;
        ulong transaction = _tailTransaction;
        while (true)
        {
            Found record = Find(ref position, transaction, out byte[] content);
            _memory.ThrowIfLost();
            if (record == Found.Damaged) return $"record {transaction} at {position % _length} has its commit mark and a wrong checksum";
            if (record == Found.Nothing) break;
            found(transaction, position, content);
            position += RecordBytes(content.Length);
            transaction++;
        }

        (_head, _nextTransaction) = (position, transaction);
        ulong? later = LaterRecord(transaction);
        _memory.ThrowIfLost();
        return later is null ? null : $"record {transaction} is missing though record {later} is there";
    }

    private enum Found
    {
        Nothing,
        Record,
        Damaged,
    }

    private Found Find(ref long position, ulong transaction, out byte[] content)
    {
        long room = _tail + _length - position;
        Found here = ReadRecord(position, room, transaction, out content);
        long lap = (position + _length - 1) / _length * _length;
        if (here != Found.Nothing || lap == position) return here;
        Found next = ReadRecord(lap, room - (lap - position), transaction, out content);
        if (next == Found.Nothing) return next;
        position = lap;
        return next;
    }

    private Found ReadRecord(long position, long room, ulong transaction, out byte[] content)
    {
        content = [];
        long place = position % _length;
        room = Math.Min(room, _length - place);
        if (room < LineBytes) return Found.Nothing;
        ReadOnlySpan<byte> line = _memory.View(_offset + place, LineBytes);
        if (BinaryPrimitives.ReadUInt64LittleEndian(line) == _seal.Mark(transaction)) return ReadMarked(place, room, transaction, out content);
        if (!IsLine(line, transaction)) return Found.Nothing;
        content = line.Slice(LineHeadBytes, BinaryPrimitives.ReadUInt16LittleEndian(line[4..])).ToArray();
        return Found.Record;
    }

    private Found ReadMarked(long place, long room, ulong transaction, out byte[] content)
    {
        content = [];
        Found bad = _marksFirst ? Found.Nothing : Found.Damaged;
        ReadOnlySpan<byte> head = _memory.View(_offset + place, MarkedHeadBytes);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(head[12..]);
        if (BinaryPrimitives.ReadUInt64LittleEndian(head[16..]) != transaction || length <= LineContentBytes || RecordBytes(length) > room) return bad;
        ReadOnlySpan<byte> bytes = _memory.View(_offset + place + MarkedHeadBytes, (int)length);
        if (BinaryPrimitives.ReadUInt32LittleEndian(head[8..]) != _seal.Checksum(transaction, length, bytes)) return bad;
        content = bytes.ToArray();
        return Found.Record;
    }

    private bool IsLine(ReadOnlySpan<byte> line, ulong transaction)
    {
        ushort length = BinaryPrimitives.ReadUInt16LittleEndian(line[4..]);
        return BinaryPrimitives.ReadUInt64LittleEndian(line[8..]) == transaction
            && BinaryPrimitives.ReadUInt16LittleEndian(line[6..]) == LineKind
            && length <= LineContentBytes
            && BinaryPrimitives.ReadUInt32LittleEndian(line) == _seal.Checksum(transaction, length, line[LineHeadBytes..]);
    }

    // Each append is durable before the next begins, so nothing valid can lie beyond the first hole. At most one ring's worth of records can.
    private ulong? LaterRecord(ulong missing)
    {
        ulong limit = missing + (ulong)(_length / LineBytes);
        for (long start = 0; start < _length; start += ScanBytes)
        {
            ReadOnlySpan<byte> lines = _memory.View(_offset + start, (int)Math.Min(ScanBytes, _length - start));
            for (int at = 0; at < lines.Length; at += LineBytes)
            {
                ReadOnlySpan<byte> line = lines.Slice(at, LineBytes);
                ulong lineTransaction = BinaryPrimitives.ReadUInt64LittleEndian(line[8..]);
                if (lineTransaction > missing && lineTransaction <= limit && IsLine(line, lineTransaction)) return lineTransaction;
                ulong markedTransaction = BinaryPrimitives.ReadUInt64LittleEndian(line[16..]);
                if (markedTransaction > missing && markedTransaction <= limit && BinaryPrimitives.ReadUInt64LittleEndian(line) == _seal.Mark(markedTransaction)
                    && ReadMarked(start + at, _length - start - at, markedTransaction, out _) == Found.Record)
                    return markedTransaction;
            }
        }

        return null;
    }

    private long Place(long bytes)
    {
        long left = _length - (_head % _length);
        return bytes <= left ? _head : _head + left;
    }

    private void StoreLine(long position, ReadOnlySpan<byte> content)
    {
        Span<byte> line = stackalloc byte[LineBytes];
        line.Clear();
        content.CopyTo(line[LineHeadBytes..]);
        BinaryPrimitives.WriteUInt16LittleEndian(line[4..], (ushort)content.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(line[6..], LineKind);
        BinaryPrimitives.WriteUInt64LittleEndian(line[8..], _nextTransaction);
        BinaryPrimitives.WriteUInt32LittleEndian(line, _seal.Checksum(_nextTransaction, (ulong)content.Length, line[LineHeadBytes..]));
        long at = _offset + (position % _length);
        _memory.StoreNonTemporal(at, line);
        MakeDurable(at, LineBytes);
    }

    private void StoreMarked(long position, ReadOnlySpan<byte> content)
    {
        const int firstBytes = LineBytes - MarkedHeadBytes;
        Span<byte> first = stackalloc byte[LineBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(first, _marksFirst ? _seal.Mark(_nextTransaction) : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(first[8..], _seal.Checksum(_nextTransaction, (ulong)content.Length, content));
        BinaryPrimitives.WriteUInt32LittleEndian(first[12..], (uint)content.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(first[16..], _nextTransaction);
        content[..firstBytes].CopyTo(first[MarkedHeadBytes..]);
        long at = _offset + (position % _length);
        _memory.StoreNonTemporal(at, first);

        ReadOnlySpan<byte> rest = content[firstBytes..];
        int whole = rest.Length / LineBytes * LineBytes;
        if (whole > 0) _memory.StoreNonTemporal(at + LineBytes, rest[..whole]);
        if (whole < rest.Length)
        {
            Span<byte> last = stackalloc byte[LineBytes];
            last.Clear();
            rest[whole..].CopyTo(last);
            _memory.StoreNonTemporal(at + LineBytes + whole, last);
        }

        MakeDurable(at, RecordBytes(content.Length));
        if (_marksFirst) return;
        // The whole line again, so that nothing has to be read back: all words but the mark are the same.
        BinaryPrimitives.WriteUInt64LittleEndian(first, _seal.Mark(_nextTransaction));
        _memory.StoreNonTemporal(at, first);
        MakeDurable(at, LineBytes);
    }

    private void StoreTail(int slot, ulong transaction, long position)
    {
        Span<byte> line = stackalloc byte[LineBytes];
        line.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(line[8..], transaction);
        BinaryPrimitives.WriteInt64LittleEndian(line[16..], position);
        BinaryPrimitives.WriteUInt32LittleEndian(line, _seal.Checksum(transaction, (ulong)position, line[4..TailBytes]));
        long at = _tailOffset + (slot * LineBytes);
        _memory.StoreNonTemporal(at, line);
        MakeDurable(at, LineBytes);
    }

    private bool ReadTail()
    {
        bool any = false;
        for (int slot = 0; slot < TailSlots; slot++)
        {
            ReadOnlySpan<byte> line = _memory.View(_tailOffset + (slot * LineBytes), LineBytes);
            ulong transaction = BinaryPrimitives.ReadUInt64LittleEndian(line[8..]);
            long position = BinaryPrimitives.ReadInt64LittleEndian(line[16..]);
            if (position < 0 || BinaryPrimitives.ReadUInt32LittleEndian(line) != _seal.Checksum(transaction, (ulong)position, line[4..TailBytes])) continue;
            if (any && (transaction < _tailTransaction || (transaction == _tailTransaction && position < _tail))) continue;
            (_tailTransaction, _tail, _tailSlot, any) = (transaction, position, slot, true);
        }

        return any;
    }

    private void MakeDurable(long offset, long length)
    {
        if (_memory.Domain == PersistenceDomain.Msync) _memory.Persist(offset, length);
        else _memory.Fence();
    }
}
