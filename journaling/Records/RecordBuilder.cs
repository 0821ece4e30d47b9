using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace StoragePlugins.Journaling;

/// <summary>What an entry of a record's payload is.</summary>
internal enum EntryKind
{
    /// <summary>Bytes that belong at an offset of home.</summary>
    Image = 0,

    /// <summary>As an image, of data that was also written home and was in the cache when the record was written. Only the newest record's copies
    /// are replayed: a later record exists only if a flush or barrier came between, and that put the data itself in order.</summary>
    Copy = 1,

    /// <summary>Earlier records' bytes of the range are not to be replayed.</summary>
    Revoke = 2,

    /// <summary>The same for everything from the offset on: home was cut there.</summary>
    RevokeFrom = 3,
}

/// <summary>
/// The payload of one record, built in a buffer that is kept: entries of 12 bytes (offset and kind, length), images followed by their bytes.
/// </summary>
/// <remarks>An entry begins with offset (56 bits) and kind (8 bits) in one little-endian word, then the length as 32 bits. Images that touch are joined.
/// Not thread-safe.</remarks>
internal sealed class RecordBuilder(int headerBytes, int alignment, int largestFrame)
{
    /// <summary>Bytes of an entry's head.</summary>
    public const int EntryBytes = 12;

    /// <summary>Offsets above this do not fit an entry.</summary>
    public const long MaxOffset = (1L << 56) - 1;

    /// <summary>First size of the buffer, made with the first record: most records are one page.</summary>
    private const int FirstBytes = 64 << 10;

    private byte[] _frame = [];
    private readonly int _start = headerBytes;
    private int _end = headerBytes;
    private int _lastHead = -1;
    private long _lastEnd;
    private EntryKind _lastKind;

    public bool IsEmpty => _end == _start;

    public int PayloadLength => _end - _start;

    /// <summary>Bytes of the whole frame, header and padding included.</summary>
    public int FrameLength => (_end + alignment - 1) & -alignment;

    public bool HasCopies { get; private set; }

    /// <summary>Bytes of payload that can still be added.</summary>
    public int Room => largestFrame - _end;

    /// <summary>The frame, ready for the log: room for the header, payload, zeros.</summary>
    public Span<byte> Frame
    {
        get
        {
            int length = FrameLength;
            MakeRoom(length - _end);
            _frame.AsSpan(_end, length - _end).Clear();
            return _frame.AsSpan(0, length);
        }
    }

    public void Clear()
    {
        _end = _start;
        _lastHead = -1;
        HasCopies = false;
    }

    /// <summary>Adds an image or a copy and returns the place for its bytes, which the caller fills at once.</summary>
    public Span<byte> Add(EntryKind kind, long offset, int length)
    {
        if (_lastHead >= 0 && _lastKind == kind && _lastEnd == offset)
        {
            MakeRoom(length);
            int joined = BinaryPrimitives.ReadInt32LittleEndian(_frame.AsSpan(_lastHead + 8)) + length;
            BinaryPrimitives.WriteInt32LittleEndian(_frame.AsSpan(_lastHead + 8), joined);
        }
        else
        {
            MakeRoom(length + EntryBytes);
            _lastHead = _end;
            WriteHead(kind, offset, (uint)length);
        }

        (_lastKind, _lastEnd) = (kind, offset + length);
        HasCopies |= kind == EntryKind.Copy;
        Span<byte> place = _frame.AsSpan(_end, length);
        _end += length;
        return place;
    }

    /// <summary>Adds a revoke; several entries when the range is longer than one can say.</summary>
    public void AddRevoke(long offset, long length)
    {
        while (length > 0)
        {
            uint part = (uint)Math.Min(length, uint.MaxValue);
            MakeRoom(EntryBytes);
            WriteHead(EntryKind.Revoke, offset, part);
            offset += part;
            length -= part;
        }

        _lastHead = -1;
    }

    public void AddRevokeFrom(long offset)
    {
        MakeRoom(EntryBytes);
        WriteHead(EntryKind.RevokeFrom, offset, 0);
        _lastHead = -1;
    }

    private void WriteHead(EntryKind kind, long offset, uint length)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_frame.AsSpan(_end), (offset << 8) | (byte)kind);
        BinaryPrimitives.WriteUInt32LittleEndian(_frame.AsSpan(_end + 8), length);
        _end += EntryBytes;
    }

    private void MakeRoom(int bytes)
    {
        if (_end + bytes <= _frame.Length) return;
        if (_end + bytes > largestFrame) throw new InvalidOperationException($"A record of more than {largestFrame} bytes was built.");
        Array.Resize(ref _frame, (int)Math.Min(largestFrame, Math.Max(Math.Max(_frame.Length * 2L, FirstBytes), (long)_end + bytes)));
    }
}

/// <summary>Reads the entries of a payload in order.</summary>
internal ref struct RecordReader(ReadOnlySpan<byte> payload)
{
    private ReadOnlySpan<byte> _rest = payload;

    public EntryKind Kind { get; private set; }

    public long Offset { get; private set; }

    /// <summary>Length of the range; <see cref="long.MaxValue"/> − offset when it has no end.</summary>
    public long Length { get; private set; }

    /// <summary>The bytes of an image or copy.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>True when the payload ended inside an entry: a valid checksum over nonsense.</summary>
    public bool IsMalformed { get; private set; }

    public bool Next()
    {
        if (_rest.IsEmpty) return false;
        if (_rest.Length < RecordBuilder.EntryBytes) return Malformed();
        long word = MemoryMarshal.Read<long>(_rest);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_rest[8..]);
        _rest = _rest[RecordBuilder.EntryBytes..];
        Kind = (EntryKind)(byte)word;
        Offset = (long)((ulong)word >> 8);
        Length = Kind == EntryKind.RevokeFrom ? long.MaxValue - Offset : length;
        Bytes = default;
        if (Kind > EntryKind.RevokeFrom) return Malformed();
        if (Kind is not (EntryKind.Image or EntryKind.Copy)) return true;
        if (length == 0 || length > _rest.Length) return Malformed();
        Bytes = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return true;
    }

    private bool Malformed()
    {
        IsMalformed = true;
        _rest = default;
        return false;
    }
}
