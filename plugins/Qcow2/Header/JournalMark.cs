using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace StoragePlugins.Qcow2.Header;

/// <summary>What the journal's header extension says: whose journal, which image, which epoch, where the region is.</summary>
/// <param name="Journal">The journal's id, at most 32 ASCII characters.</param>
/// <param name="ImageId">Ties a journal to this image.</param>
/// <param name="Epoch">Rises with each setting of the mark.</param>
/// <param name="Region">The region inside the image, if there is one.</param>
/// <param name="Payload">The journal's own, at most <see cref="IInUseMark.MaxPayloadBytes"/>.</param>
/// <remarks>
/// The extension holds two slots. An epoch is written into the slot of its parity, so that a torn write leaves the other one, and the valid slot
/// with the higher epoch counts. Slot, big-endian: CRC-32C of the rest (4), version (4), epoch (8), image id (16), region offset (8) and length (8),
/// journal id (32, zero-padded), payload length (4), reserved (4), payload (256).
/// </remarks>
internal sealed record JournalMark(string Journal, Guid ImageId, ulong Epoch, JournalRegion? Region, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Bytes of a slot.</summary>
    public const int SlotBytes = 88 + IInUseMark.MaxPayloadBytes;

    /// <summary>Bytes of the extension.</summary>
    public const int ExtensionBytes = 2 * SlotBytes;

    private const uint Version = 1;
    private const int IdBytes = 32;

    /// <summary>The slot that this epoch is written to.</summary>
    public int Slot => (int)(Epoch & 1);

    /// <summary>Writes a slot.</summary>
    public void Encode(Span<byte> slot)
    {
        slot[..SlotBytes].Clear();
        BinaryPrimitives.WriteUInt32BigEndian(slot[4..], Version);
        BinaryPrimitives.WriteUInt64BigEndian(slot[8..], Epoch);
        ImageId.TryWriteBytes(slot[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteInt64BigEndian(slot[32..], Region?.Offset ?? 0);
        BinaryPrimitives.WriteInt64BigEndian(slot[40..], Region?.Length ?? 0);
        Encoding.ASCII.GetBytes(Journal, slot.Slice(48, IdBytes));
        BinaryPrimitives.WriteInt32BigEndian(slot[80..], Payload.Length);
        Payload.Span.CopyTo(slot[88..]);
        BinaryPrimitives.WriteUInt32BigEndian(slot, Checksum(slot[4..SlotBytes]));
    }

    /// <summary>The valid slot of the highest epoch; <see langword="null"/> when neither is valid.</summary>
    public static JournalMark? Newest(ReadOnlySpan<byte> extension)
    {
        if (extension.Length < ExtensionBytes) return null;
        JournalMark? even = Decode(extension[..SlotBytes]);
        JournalMark? odd = Decode(extension.Slice(SlotBytes, SlotBytes));
        return odd is null || (even is not null && even.Epoch > odd.Epoch) ? even : odd;
    }

    private static JournalMark? Decode(ReadOnlySpan<byte> slot)
    {
        if (BinaryPrimitives.ReadUInt32BigEndian(slot) != Checksum(slot[4..]) || BinaryPrimitives.ReadUInt32BigEndian(slot[4..]) != Version) return null;
        int payload = BinaryPrimitives.ReadInt32BigEndian(slot[80..]);
        if (payload is < 0 or > IInUseMark.MaxPayloadBytes) return null;
        long offset = BinaryPrimitives.ReadInt64BigEndian(slot[32..]);
        long length = BinaryPrimitives.ReadInt64BigEndian(slot[40..]);
        return new JournalMark(
            Encoding.ASCII.GetString(slot.Slice(48, IdBytes)).TrimEnd('\0'),
            new Guid(slot.Slice(16, 16), bigEndian: true),
            BinaryPrimitives.ReadUInt64BigEndian(slot[8..]),
            length > 0 ? new JournalRegion(offset, length) : null,
            slot.Slice(88, payload).ToArray());
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
