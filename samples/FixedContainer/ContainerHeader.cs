using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using StoragePlugins;

namespace Samples.FixedContainer;

/// <summary>
/// A sector at the start of the image and the same one at <see cref="CopyAt"/>, little-endian: magic (8 bytes), virtual size (8), label in UTF-8 (length 4, at most 64), zeros,
/// CRC-32C of all before (4, at byte 508). Written once, when the image is made; the copy is for a first sector that somebody overwrote.
/// </summary>
/// <param name="Size">Virtual size in bytes.</param>
/// <param name="Label">For people.</param>
internal sealed record ContainerHeader(long Size, string Label)
{
    /// <summary>Where the disk's bytes start: a multiple of every sector and page size in use, and room for both headers in blocks of their own.</summary>
    public const int DataAt = 8192;

    /// <summary>Where the second header is.</summary>
    public const int CopyAt = 4096;

    public const int MaxLabelBytes = 64;

    /// <summary>The largest disk.</summary>
    public const long MaxSize = long.MaxValue - DataAt;

    private const int Bytes = 512, SizeAt = 8, LabelAt = 16, ChecksumAt = 508;

    private static ReadOnlySpan<byte> Magic => "SPBOX\0\0\x01"u8;

    /// <summary>Where the image ends.</summary>
    public long End => DataAt + Size;

    /// <summary>Reads the header or its copy; <see langword="null"/> when neither is valid.</summary>
    public static ContainerHeader? Read(IStorageMedium medium) => Read(medium, 0) ?? Read(medium, CopyAt);

    /// <summary>Reads one of the two.</summary>
    public static ContainerHeader? Read(IStorageMedium medium, long at)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        if (medium.Read(at, bytes) < Bytes || !bytes.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]) != Checksum(bytes)) return null;
        long size = BinaryPrimitives.ReadInt64LittleEndian(bytes[SizeAt..]);
        int label = BinaryPrimitives.ReadInt32LittleEndian(bytes[LabelAt..]);
        // A checksum is right by accident or on purpose; numbers are looked at all the same.
        return size is >= 0 and <= MaxSize && label is >= 0 and <= MaxLabelBytes ? new ContainerHeader(size, Encoding.UTF8.GetString(bytes.Slice(LabelAt + sizeof(int), label))) : null;
    }

    /// <summary>Writes both.</summary>
    public void Write(IStorageMedium medium)
    {
        Write(medium, 0);
        Write(medium, CopyAt);
    }

    /// <summary>Writes one of the two.</summary>
    public void Write(IStorageMedium medium, long at)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[SizeAt..], Size);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[LabelAt..], Encoding.UTF8.GetBytes(Label, bytes.Slice(LabelAt + sizeof(int), MaxLabelBytes)));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[ChecksumAt..], Checksum(bytes));
        medium.Write(at, bytes, ContentClass.Header);
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (int i = 0; i < ChecksumAt; i += sizeof(uint)) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(bytes[i..]));
        return ~crc;
    }
}
