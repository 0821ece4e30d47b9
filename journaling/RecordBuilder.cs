using System.Buffers.Binary;

namespace StoragePlugins.Journaling;

/// <summary>Gathers one record in a buffer that is kept from commit to commit. Not thread-safe.</summary>
/// <remarks>Revokes come first in the payload; so all of them are added before the first after-image.</remarks>
internal sealed class RecordBuilder(int largestBytes)
{
    private byte[] _buffer = new byte[16 << 10];
    private int _end = RecordHeader.Bytes;
    private int _revokes, _images;

    public bool IsEmpty => _revokes + _images == 0;

    public int Bytes => _end;

    public void Clear() => (_end, _revokes, _images) = (RecordHeader.Bytes, 0, 0);

    public void AddRevoke(HomeRange range)
    {
        Span<byte> place = Take(RecordHeader.RevokeBytes);
        BinaryPrimitives.WriteInt64LittleEndian(place, range.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(place[8..], range.Length);
        _revokes++;
    }

    public void AddImage(long offset, ContentClass content, ReadOnlySpan<byte> bytes)
    {
        Span<byte> place = Take(RecordHeader.ImageHeaderBytes + bytes.Length);
        BinaryPrimitives.WriteInt64LittleEndian(place, offset);
        BinaryPrimitives.WriteInt32LittleEndian(place[8..], bytes.Length);
        BinaryPrimitives.WriteInt32LittleEndian(place[12..], (int)content);
        bytes.CopyTo(place[RecordHeader.ImageHeaderBytes..]);
        _images++;
    }

    /// <summary>Completes the record, padded with zeros to the log's alignment.</summary>
    public ReadOnlySpan<byte> Seal(ulong transaction, LogPosition tail, long homeLength, uint seed, int alignment)
    {
        int payload = _end - RecordHeader.Bytes;
        int padded = (_end + alignment - 1) & -alignment;
        int end = _end;
        _ = Take(padded - end);
        _buffer.AsSpan(end, padded - end).Clear();
        new RecordHeader(transaction, tail.Transaction, tail.Position, homeLength, payload, _revokes, _images).Seal(_buffer, seed);
        return _buffer.AsSpan(0, padded);
    }

    private Span<byte> Take(int bytes)
    {
        if (_end + bytes > _buffer.Length) Array.Resize(ref _buffer, (int)Math.Max(_end + (long)bytes, Math.Min(_buffer.Length * 2L, largestBytes)));
        Span<byte> place = _buffer.AsSpan(_end, bytes);
        _end += bytes;
        return place;
    }
}
