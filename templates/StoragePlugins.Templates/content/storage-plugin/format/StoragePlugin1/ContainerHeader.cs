using System.Buffers.Binary;
using System.Numerics;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>
/// The first sector of an image, little-endian: magic (8 bytes), virtual size (8), offset of the disk's first byte (8), zeros, CRC-32C of all before (4, at byte 508).
/// </summary>
/// <param name="Size">Virtual size in bytes.</param>
/// <param name="DataOffset">Where the disk's first byte lies.</param>
internal readonly record struct ContainerHeader(long Size, long DataOffset)
{
    /// <summary>Data starts at a multiple of this, so that a sector of the guest is a sector of the host, and torn by a power cut as little.</summary>
    public const int Alignment = 4096;

    /// <summary>Room enough for any alignment of a device.</summary>
    public const int MaxDataOffset = 1 << 20;

    private const int Bytes = 512, ChecksumAt = 508;

    private static ReadOnlySpan<byte> Magic => "SPFIXED\x01"u8;

    /// <summary>Reads the header; <see langword="null"/> when there is none or a damaged one.</summary>
    public static ContainerHeader? Read(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        if (medium.Read(0, bytes) < Bytes || !bytes.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]) != Checksum(bytes)) return null;
        var header = new ContainerHeader(BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]));
        // The checksum is against accidents, not against whoever makes an image by hand.
        bool isPossible = header.DataOffset is >= Alignment and <= MaxDataOffset && header.DataOffset % Alignment == 0 && header.Size >= 0 && header.Size <= long.MaxValue - MaxDataOffset;
        return isPossible ? header : null;
    }

    /// <summary>Writes the header. One sector: a power cut leaves the old or the new one.</summary>
    public void Write(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], Size);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], DataOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[ChecksumAt..], Checksum(bytes));
        medium.Write(0, bytes, ContentClass.Header);
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (int i = 0; i < ChecksumAt; i += sizeof(uint)) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(bytes[i..]));
        return ~crc;
    }
}
