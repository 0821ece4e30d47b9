using System.Buffers.Binary;
using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>
/// A transaction in the log, little-endian: magic (4), CRC-32C of everything else (4), length of the whole (4), number of after-images (4), generation (8), sequence (8);
/// then each after-image: offset (8), length (4), content (4), bytes. Records start at sectors, so that after a gap the next one can be found.
/// </summary>
internal static class LogRecord
{
    public const int SectorBytes = 512;

    /// <summary>Before each after-image. With images of a single byte a record is 17 times what the transaction holds, which is what a log's room is measured by.</summary>
    public const int ImageHeaderBytes = 16;

    public const int HeaderBytes = 32;

    private const uint Magic = 0x5243_4453; // "SDCR"

    /// <summary>Bytes that a transaction takes in the log.</summary>
    public static long Length(MetadataTransaction transaction) => Padded(HeaderBytes + transaction.ByteCount + ((long)transaction.Count * ImageHeaderBytes));

    /// <summary>Writes a record into a buffer of its length.</summary>
    public static void Write(Span<byte> record, MetadataTransaction transaction, in LogHeader log, ulong sequence)
    {
        record.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(record, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(record[8..], record.Length);
        BinaryPrimitives.WriteInt32LittleEndian(record[12..], transaction.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(record[16..], log.Generation);
        BinaryPrimitives.WriteUInt64LittleEndian(record[24..], sequence);
        int at = HeaderBytes;
        for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
        {
            IReadOnlyList<AfterImage> images = transaction.Stage(stage);
            for (int i = 0; i < images.Count; i++)
            {
                AfterImage image = images[i];
                BinaryPrimitives.WriteInt64LittleEndian(record[at..], image.Offset);
                BinaryPrimitives.WriteInt32LittleEndian(record[(at + 8)..], image.Length);
                BinaryPrimitives.WriteInt32LittleEndian(record[(at + 12)..], (int)image.Content);
                transaction.Bytes(image).CopyTo(record[(at + ImageHeaderBytes)..]);
                at += ImageHeaderBytes + image.Length;
            }
        }

        BinaryPrimitives.WriteUInt32LittleEndian(record[4..], Seal(record, log));
    }

    /// <summary>The length of the valid record at the start of these bytes; 0 when there is none of this log and generation with a sequence from <paramref name="sequence"/> on.</summary>
    public static int Recognize(ReadOnlySpan<byte> bytes, in LogHeader log, ulong sequence, out ulong found)
    {
        found = 0;
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) return 0;
        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        found = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]);
        bool isPossible = length >= SectorBytes && length % SectorBytes == 0 && length <= bytes.Length
            && BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]) == log.Generation && found >= sequence;
        return isPossible && BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]) == Seal(bytes[..length], log) ? length : 0;
    }

    /// <summary>The after-images of a valid record, in the order in which they were added.</summary>
    public static IEnumerable<LoggedImage> Images(ReadOnlyMemory<byte> record)
    {
        int count = BinaryPrimitives.ReadInt32LittleEndian(record.Span[12..]);
        for (int at = HeaderBytes; count > 0; count--)
        {
            ReadOnlySpan<byte> header = record.Span.Slice(at, ImageHeaderBytes);
            int length = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
            var image = new LoggedImage(BinaryPrimitives.ReadInt64LittleEndian(header), (ContentClass)BinaryPrimitives.ReadInt32LittleEndian(header[12..]), record.Slice(at + ImageHeaderBytes, length));
            at += ImageHeaderBytes + length;
            yield return image;
        }
    }

    private static long Padded(long bytes) => (bytes + SectorBytes - 1) / SectorBytes * SectorBytes;

    // The log's id is in the checksum and not in the record: what another log left in the same blocks is no record.
    private static uint Seal(ReadOnlySpan<byte> record, in LogHeader log)
    {
        Span<byte> id = stackalloc byte[16];
        log.Id.TryWriteBytes(id);
        return Checksum.Of(record[8..], Checksum.Of(id));
    }
}

/// <summary>An after-image that a recovery found.</summary>
/// <param name="Offset">Home offset.</param>
/// <param name="Content">What it is.</param>
/// <param name="Bytes">What belongs there.</param>
internal readonly record struct LoggedImage(long Offset, ContentClass Content, ReadOnlyMemory<byte> Bytes);
