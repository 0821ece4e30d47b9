using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.Journaling;

/// <summary>The head of a record. Little-endian.</summary>
/// <remarks>
/// <code>
///  0  magic            8  transaction id     24  payload bytes     40  home length
///  4  CRC-32C         16  tail position      32  revokes           48  tail's distance in transactions
///                                            36  after-images      52  version, reserved
/// </code>
/// The checksum covers everything behind it and the payload. Its seed is the image's id and epoch, so that a record of another image, or of an earlier
/// session of this one, is as invalid as a torn one. The tail is the oldest record that a replay needed when this one was written.
/// </remarks>
/// <param name="Transaction">Rises by one with each record of an epoch; the first is 1.</param>
/// <param name="TailTransaction">The oldest transaction that a replay needs.</param>
/// <param name="TailPosition">Where its record starts.</param>
/// <param name="HomeLength">The home medium is at least this long after a replay.</param>
/// <param name="PayloadBytes">Bytes behind the header.</param>
/// <param name="Revokes">Number of revokes in the payload, 16 bytes each: offset, length.</param>
/// <param name="Images">Number of after-images behind them: offset (8), length (4), content (4), bytes.</param>
internal readonly record struct RecordHeader(
    ulong Transaction, ulong TailTransaction, long TailPosition, long HomeLength, int PayloadBytes, int Revokes, int Images)
{
    public const int Bytes = 56;
    public const int RevokeBytes = 16;
    public const int ImageHeaderBytes = 16;
    private const uint Magic = 0x314a5053; // "SPJ1"
    private const uint Version = 1;

    /// <summary>Completes a record: the header before its payload, checksum included.</summary>
    public void Seal(Span<byte> record, uint seed)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(record, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], Transaction);
        BinaryPrimitives.WriteInt64LittleEndian(record[16..], TailPosition);
        BinaryPrimitives.WriteInt64LittleEndian(record[24..], PayloadBytes);
        BinaryPrimitives.WriteInt32LittleEndian(record[32..], Revokes);
        BinaryPrimitives.WriteInt32LittleEndian(record[36..], Images);
        BinaryPrimitives.WriteInt64LittleEndian(record[40..], HomeLength);
        BinaryPrimitives.WriteUInt32LittleEndian(record[48..], checked((uint)(Transaction - TailTransaction)));
        BinaryPrimitives.WriteUInt32LittleEndian(record[52..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(record[4..], Checksum.Add(seed, record[8..(Bytes + PayloadBytes)]));
    }

    /// <summary>Reads a header without judging its checksum.</summary>
    /// <returns>False when this cannot be one.</returns>
    public static bool TryRead(ReadOnlySpan<byte> head, out RecordHeader header)
    {
        header = default;
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(head[52..]) != Version) return false;
        ulong transaction = BinaryPrimitives.ReadUInt64LittleEndian(head[8..]);
        ulong distance = BinaryPrimitives.ReadUInt32LittleEndian(head[48..]);
        long payload = BinaryPrimitives.ReadInt64LittleEndian(head[24..]);
        if (payload is < 0 or > int.MaxValue - Bytes || distance >= transaction) return false;
        header = new RecordHeader(
            transaction, transaction - distance, BinaryPrimitives.ReadInt64LittleEndian(head[16..]), BinaryPrimitives.ReadInt64LittleEndian(head[40..]),
            (int)payload, BinaryPrimitives.ReadInt32LittleEndian(head[32..]), BinaryPrimitives.ReadInt32LittleEndian(head[36..]));
        return true;
    }

    /// <summary>Whether a record, header and payload, has the checksum of this image and epoch.</summary>
    public static bool IsIntact(ReadOnlySpan<byte> record, uint seed) => BinaryPrimitives.ReadUInt32LittleEndian(record[4..]) == Checksum.Add(seed, record[8..]);

    /// <summary>The seed for an image and epoch.</summary>
    public static uint Seed(Guid image, ulong epoch)
    {
        Span<byte> identity = stackalloc byte[24];
        image.TryWriteBytes(identity);
        BinaryPrimitives.WriteUInt64LittleEndian(identity[16..], epoch);
        return Checksum.Add(~0u, identity);
    }

    /// <summary>CRC-32C, eight bytes a step.</summary>
    private static class Checksum
    {
        public static uint Add(uint crc, ReadOnlySpan<byte> bytes)
        {
            for (; bytes.Length >= 8; bytes = bytes[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            foreach (byte b in bytes) crc = BitOperations.Crc32C(crc, b);
            return crc;
        }
    }
}
