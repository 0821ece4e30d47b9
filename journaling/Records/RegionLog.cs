using System.Buffers.Binary;

namespace StoragePlugins.Journaling;

/// <summary>
/// A ring in a region of the home medium. A record is one write of whole 4 KiB blocks, so that no block of an acknowledged record is ever written again
/// while it matters.
/// </summary>
/// <remarks>
/// Header, 72 bytes, little-endian: magic (8), CRC-32C over all the rest of header and payload (4), version (4), image id (16), epoch (8), txid (8),
/// tail's txid (8), home's length (8), attempt (4), payload length (4).
/// </remarks>
public sealed class RegionLog : IRecordLog
{
    /// <summary>What a disk, and the page cache before it, writes without reading.</summary>
    public const int BlockBytes = 4096;

    private const ulong Magic = 0x0031_4C4E_524A_5053; // "SPJRNL1"
    private const uint Version = 1;
    private const int CrcOffset = 8;
    private const int Header = 72;

    private readonly IStorageMedium _medium;
    private readonly long _start;
    private readonly byte[] _block = new byte[BlockBytes];

    /// <summary>A log over the whole blocks of a region. Blocks that the region's neighbours share are left alone.</summary>
    public RegionLog(IStorageMedium medium, JournalRegion region)
    {
        _medium = medium;
        _start = (region.Offset + BlockBytes - 1) & -BlockBytes;
        long end = (region.Offset + region.Length) & -BlockBytes;
        Capacity = Math.Max(0, end - _start);
    }

    /// <inheritdoc/>
    public long Capacity { get; }

    /// <inheritdoc/>
    public int Alignment => BlockBytes;

    /// <inheritdoc/>
    public int HeaderBytes => Header;

    /// <inheritdoc/>
    public bool IsDurableOnAppend => false;

    /// <inheritdoc/>
    public void Append(long position, in RecordHeader header, Span<byte> frame)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(frame, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[12..], Version);
        _ = header.Identity.ImageId.TryWriteBytes(frame[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[32..], header.Identity.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[40..], header.Txid);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[48..], header.TailTxid);
        BinaryPrimitives.WriteInt64LittleEndian(frame[56..], header.HomeLength);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[64..], header.Attempt);
        BinaryPrimitives.WriteInt32LittleEndian(frame[68..], header.PayloadLength);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[CrcOffset..], Checksum(frame[..(Header + header.PayloadLength)]));
        _medium.Write(_start + position, frame, ContentClass.JournalRecord);
    }

    /// <inheritdoc/>
    public bool TryRead(long position, in RecordIdentity identity, ref byte[] payload, out RecordHeader header)
    {
        header = default;
        Span<byte> block = _block;
        if (position + BlockBytes > Capacity || _medium.Read(_start + position, block) < BlockBytes) return false;
        if (BinaryPrimitives.ReadUInt64LittleEndian(block) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(block[12..]) != Version) return false;
        var found = new RecordIdentity(new Guid(block[16..32]), BinaryPrimitives.ReadUInt64LittleEndian(block[32..]));
        int length = BinaryPrimitives.ReadInt32LittleEndian(block[68..]);
        if (found != identity || length < 0 || length > Capacity - position - Header) return false;
        uint expected = BinaryPrimitives.ReadUInt32LittleEndian(block[CrcOffset..]);
        uint crc = Crc32C.Append(Crc32C.Append(Crc32C.Seed, block[..CrcOffset]), block[(CrcOffset + 4)..Header]);
        if (payload.Length < length) payload = new byte[Math.Max(length, BlockBytes)];
        int inBlock = Math.Min(length, BlockBytes - Header);
        block.Slice(Header, inBlock).CopyTo(payload);
        if (length > inBlock && _medium.Read(_start + position + BlockBytes, payload.AsSpan(inBlock, length - inBlock)) < length - inBlock) return false;
        if (Crc32C.Append(crc, payload.AsSpan(0, length)) != expected) return false;
        ulong txid = BinaryPrimitives.ReadUInt64LittleEndian(block[40..]);
        ulong tail = BinaryPrimitives.ReadUInt64LittleEndian(block[48..]);
        if (tail == 0 || tail > txid) return false;
        header = new RecordHeader(found, txid, tail, BinaryPrimitives.ReadUInt32LittleEndian(block[64..]), BinaryPrimitives.ReadInt64LittleEndian(block[56..]), length);
        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> record) =>
        Crc32C.Append(Crc32C.Append(Crc32C.Append(Crc32C.Seed, record[..CrcOffset]), record[(CrcOffset + 4)..Header]), record[Header..]);
}
