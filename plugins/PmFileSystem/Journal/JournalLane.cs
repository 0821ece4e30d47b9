using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>A ring of lines that takes records. All calls under its own lock, which the journal takes.</summary>
internal sealed class JournalLane(PmRegion region, long start)
{
    private readonly List<int> _records = [];
    private readonly int _bytes = region.Geometry.LaneBytes;
    private int _head;
    private int _used;
    private ushort _number;

    public Lock Gate { get; } = new();

    /// <summary>Bytes of records since the start.</summary>
    public long RecordBytes { get; private set; }

    /// <summary>Records since the start.</summary>
    public long RecordCount { get; private set; }

    /// <summary>Finds room behind the newest record.</summary>
    /// <returns>False when the ring has to be emptied first.</returns>
    public bool TryReserve(int length, out int at)
    {
        int lines = (int)PmLayout.RoundUp(length, PmLayout.LineBytes);
        int skipped = _head + lines > _bytes ? _bytes - _head : 0;
        at = skipped > 0 ? 0 : _head;
        if (_used + skipped + lines > _bytes) return false;
        _used += skipped + lines;
        _head = (at + lines) % _bytes;
        return true;
    }

    /// <summary>Writes a record, past the cache. Durable after the next fence.</summary>
    /// <returns>Its offset in the region.</returns>
    public long Write(int at, Span<byte> record, ulong sequence)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(record[4..], (ushort)(record.Length / sizeof(ulong)));
        BinaryPrimitives.WriteUInt16LittleEndian(record[6..], _number++);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(record, Crc.Of(record[4..], region.Geometry.RecordSeed));
        region.Memory.StoreNonTemporal(start + at, record);
        _records.Add(at);
        RecordBytes += record.Length;
        RecordCount++;
        return start + at;
    }

    /// <summary>Starts the write-back of everything that the ring's records changed.</summary>
    public void FlushHomes(Home home)
    {
        foreach (int at in _records)
        {
            ReadOnlySpan<byte> header = region.View(start + at, PmLayout.RecordHeaderBytes);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) * sizeof(ulong);
            ReadOnlySpan<byte> rest = region.View(start + at, length)[PmLayout.RecordHeaderBytes..];
            while (Change.TryTake(ref rest, out Change change)) home.Flush(change);
        }
    }

    /// <summary>What the records changed is home: their space may be used again.</summary>
    public void Empty()
    {
        _records.Clear();
        _used = 0;
    }
}
