using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Nodes;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>A ring of lines that takes records. All calls under its own lock, which the journal takes.</summary>
internal sealed class JournalLane(PmRegion region, long start)
{
    /// <summary>Lines remembered as noted. An append changes the same three again and again: its inode and its map.</summary>
    private const int RecentLines = 64;

    // At most one a change, so of the ring's size.
    private readonly List<(long Offset, long Length)> _homes = [];
    private readonly (long Offset, long Length)[] _recent = new (long, long)[RecentLines];
    private readonly int _bytes = region.Geometry.LaneBytes;
    private int _head;
    private int _used;
    private ushort _number;

    /// <summary>Held for a record or a checkpoint. The latter may take longer than is worth spinning for.</summary>
    public SharedLock Gate { get; } = new(sleepAfter: 50);

    /// <summary>The ring's offset in the region.</summary>
    public long Start => start;

    /// <summary>Bytes of records since the start.</summary>
    public long RecordBytes { get; private set; }

    /// <summary>Records since the start.</summary>
    public long RecordCount { get; private set; }

    /// <summary>Bytes stored at home since the start.</summary>
    public long HomeBytes { get; private set; }

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
    /// <param name="at">Where the ring has room for it.</param>
    /// <param name="record">The record.</param>
    /// <param name="lines">The record with the rest of its last line: a whole line passes the cache, a part of one would be read, stored and written back.</param>
    /// <param name="sequence">Its sequence number.</param>
    public void Write(int at, Span<byte> record, ReadOnlySpan<byte> lines, ulong sequence)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(record[4..], (ushort)(record.Length / sizeof(ulong)));
        BinaryPrimitives.WriteUInt16LittleEndian(record[6..], _number++);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(record, Crc.Of(record[4..], region.Geometry.RecordSeed));
        region.Memory.StoreNonTemporal(start + at, lines);
        RecordBytes += record.Length;
        RecordCount++;
    }

    /// <summary>Notes what a record changed at home, for <see cref="FlushHomes"/>. Thousands of records change few lines: each is written back once, not once a record.</summary>
    public void NoteHome(long offset, long length)
    {
        HomeBytes += length;
        long first = offset / PmLayout.LineBytes * PmLayout.LineBytes;
        var lines = (first, PmLayout.RoundUp(offset + length, PmLayout.LineBytes) - first);
        ref (long, long) recent = ref _recent[(first / PmLayout.LineBytes) % RecentLines];
        if (recent == lines) return;
        recent = lines;
        _homes.Add(lines);
    }

    /// <summary>Starts the write-back of everything that the ring's records changed.</summary>
    public void FlushHomes()
    {
        foreach ((long offset, long length) in _homes) region.Memory.FlushLines(offset, length);
    }

    /// <summary>What the records changed is home: their space may be used again.</summary>
    public void Empty()
    {
        _homes.Clear();
        Array.Clear(_recent);
        _used = 0;
    }
}
