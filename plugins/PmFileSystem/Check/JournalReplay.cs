using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>Reads the lanes of the journal and applies the records that matter to the region's overlay; the medium is not written.</summary>
internal sealed class JournalReplay(CheckedRegion region, Geometry geometry, CheckFindings findings)
{
    private const int WindowBytes = 256 << 10;

    private const int Set = 1, Fill = 2, Ascend = 3, TakeBlocks = 4, FreeBlocks = 5, TakeInodes = 6, FreeInodes = 7, Orphan = 8, NoOrphan = 9;

    private readonly List<Record> _records = [];
    private readonly byte[] _window = new byte[Math.Min(WindowBytes, geometry.LaneBytes)];
    private readonly byte[] _record = new byte[PmLayout.MostRecordBytes];

    private readonly record struct Record(ulong Sequence, int Lane, int Place, int Length, ushort Number);

    /// <summary>Applies what matters.</summary>
    /// <param name="floor">Records above it matter.</param>
    /// <returns>How many did.</returns>
    public int Run(ulong floor)
    {
        for (int lane = 0; lane < geometry.Lanes; lane++) ReadLane(lane, floor);
        _records.Sort(static (a, b) => a.Sequence.CompareTo(b.Sequence));
        FindGaps();
        foreach (Record record in _records)
        {
            ReadRecord(record);
            if (!Apply(record, _record.AsSpan(PmLayout.RecordHeaderBytes, record.Length - PmLayout.RecordHeaderBytes))) break;
        }

        return _records.Count;
    }

    /// <summary>The highest sequence number of a whole record; 0 when there is none.</summary>
    public ulong Newest()
    {
        ulong newest = 0;
        for (int lane = 0; lane < geometry.Lanes; lane++)
        {
            _records.Clear();
            ReadLane(lane, floor: 0);
            foreach (Record record in _records) newest = Math.Max(newest, record.Sequence);
        }

        return newest;
    }

    private long LaneOffset(int lane) => geometry.Journal + ((long)lane * geometry.LaneBytes);

    private void ReadLane(int lane, ulong floor)
    {
        long next = 0;
        for (long start = 0; start < geometry.LaneBytes; start += WindowBytes)
        {
            Span<byte> window = _window.AsSpan(0, (int)Math.Min(WindowBytes, geometry.LaneBytes - start));
            region.Read(LaneOffset(lane) + start, window);
            for (long place = Math.Max(start, next); place < start + window.Length; place += PmLayout.LineBytes)
            {
                ReadOnlySpan<byte> line = window[(int)(place - start)..];
                if (Judge(line, lane, place, floor) is not { } record) continue;
                _records.Add(record);
                next = place + PmLayout.RoundUp(record.Length, PmLayout.LineBytes);
                place = next - PmLayout.LineBytes;
            }
        }
    }

    // The cheap signs first: most lines are records of before, or parts of records.
    private Record? Judge(ReadOnlySpan<byte> line, int lane, long place, ulong floor)
    {
        int length = BinaryPrimitives.ReadUInt16LittleEndian(line[4..]) * 8;
        ulong sequence = BinaryPrimitives.ReadUInt64LittleEndian(line[8..]);
        if (sequence <= floor || sequence > PmLayout.MostSequence || length < PmLayout.RecordHeaderBytes || length > PmLayout.MostRecordBytes || place + length > geometry.LaneBytes) return null;
        var record = new Record(sequence, lane, (int)place, length, BinaryPrimitives.ReadUInt16LittleEndian(line[6..]));
        ReadRecord(record);
        return Crc.Of(_record.AsSpan(4, length - 4), geometry.RecordSeed) == BinaryPrimitives.ReadUInt32LittleEndian(_record) ? record : null;
    }

    private void ReadRecord(Record record) => region.Read(LaneOffset(record.Lane) + record.Place, _record.AsSpan(0, record.Length));

    private void FindGaps()
    {
        var last = new Dictionary<int, Record>();
        ulong sequence = 0;
        foreach (Record record in _records)
        {
            if (record.Sequence == sequence) findings.Corruption($"journal: two records have the sequence number {sequence}, one of them in lane {record.Lane} at {record.Place}");
            sequence = record.Sequence;
            if (last.TryGetValue(record.Lane, out Record before)) Compare(before, record);
            last[record.Lane] = record;
        }
    }

    private void Compare(Record before, Record record)
    {
        ushort expected = (ushort)(before.Number + 1);
        long behind = before.Place + PmLayout.RoundUp(before.Length, PmLayout.LineBytes);
        bool follows = record.Place == behind || (record.Place == 0 && behind + PmLayout.RoundUp(record.Length, PmLayout.LineBytes) > geometry.LaneBytes);
        if (record.Number != expected) findings.Corruption($"journal: a gap in lane {record.Lane} before {record.Place}: record number {expected} expected, {record.Number} found");
        else if (!follows) findings.Corruption($"journal: lane {record.Lane}: record {record.Number} expected at {behind}, found at {record.Place}");
    }

    // False when nothing behind this record can be applied.
    private bool Apply(Record record, ReadOnlySpan<byte> changes)
    {
        while (changes.Length > 0)
        {
            ulong head = BinaryPrimitives.ReadUInt64LittleEndian(changes);
            changes = changes[sizeof(ulong)..];
            int kind = (int)(head & 0xf), count = (int)((head >> 4) & 0xffff);
            long place = (long)(head >> 20);
            int payload = kind switch { Set => count, Fill or Ascend => sizeof(ulong), _ => 0 };
            if (payload > changes.Length || (payload & 7) != 0 || count == 0 || !IsInPlace(kind, count, place))
            {
                findings.Corruption($"journal: lane {record.Lane}, record {record.Number} at {record.Place}: a change of kind {kind}, count {count}, place {place} makes no sense");
                return true;
            }

            if (!Apply(kind, count, place, changes[..payload]))
            {
                findings.Corruption($"journal: it changes more blocks than a check can hold; 'sphost image recover' first");
                return false;
            }

            changes = changes[payload..];
        }

        return true;
    }

    private bool IsInPlace(int kind, int count, long place) => kind switch
    {
        Set => IsHome(place, count),
        Fill or Ascend => IsHome(place, (long)count * sizeof(ulong)),
        TakeBlocks or FreeBlocks => place >= geometry.FirstDataBlock && place + count <= geometry.EndOfData,
        TakeInodes or FreeInodes or Orphan or NoOrphan => place >= PmLayout.RootInode && place + count <= geometry.Inodes,
        _ => false,
    };

    // Inodes and blocks for data. Bitmaps have changes of their own; the superblock, its copy and the lanes have none.
    private bool IsHome(long offset, long length) =>
        (offset & 7) == 0 && offset >= geometry.InodeTable && offset + length <= geometry.EndOfData << PmLayout.BlockShift;

    private bool Apply(int kind, int count, long place, ReadOnlySpan<byte> payload) => kind switch
    {
        Set => Copy(place, payload),
        Fill => Words(place, count, BinaryPrimitives.ReadUInt64LittleEndian(payload), 0),
        Ascend => Words(place, count, BinaryPrimitives.ReadUInt64LittleEndian(payload), 1),
        TakeBlocks or FreeBlocks => Bits(geometry.BlockBitmap, place, count, kind == TakeBlocks),
        TakeInodes or FreeInodes => Bits(geometry.NodeBitmap, place, count, kind == TakeInodes),
        _ => Bits(geometry.OrphanBitmap, place, count, kind == Orphan),
    };

    private bool Copy(long offset, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length > 0; offset += sizeof(ulong), bytes = bytes[sizeof(ulong)..])
        {
            if (!Words(offset, 1, BinaryPrimitives.ReadUInt64LittleEndian(bytes), 0)) return false;
        }

        return true;
    }

    private bool Words(long offset, int count, ulong word, ulong step)
    {
        for (int i = 0; i < count; i++, offset += sizeof(ulong), word += step)
        {
            if (region.Change(offset >> PmLayout.BlockShift) is not { } block) return false;
            BinaryPrimitives.WriteUInt64LittleEndian(block.AsSpan((int)(offset % PmLayout.BlockBytes)), word);
        }

        return true;
    }

    private bool Bits(long bitmap, long first, int count, bool value)
    {
        for (long bit = first; bit < first + count; bit++)
        {
            long offset = bitmap + (bit >> 3);
            if (region.Change(offset >> PmLayout.BlockShift) is not { } block) return false;
            ref byte into = ref block[offset % PmLayout.BlockBytes];
            byte mask = (byte)(1 << (int)(bit & 7));
            into = (byte)(value ? into | mask : into & ~mask);
        }

        return true;
    }
}
