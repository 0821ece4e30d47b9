using System.Buffers.Binary;
using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>
/// The first sector of a log, little-endian: magic (8), id (16), id of the session before (16), generation (8), zeros, CRC-32C of all before (4, at byte 508). A
/// power cut leaves the old or the new one.
/// </summary>
/// <param name="Id">The session that writes the log: what the image's mark names.</param>
/// <param name="Before">The session that the mark named when this header was written; empty for none. All of its log was home by then, so a mark that still names it asks for nothing.</param>
/// <param name="Generation">Rises each time the log is emptied; records of another generation are none.</param>
internal readonly record struct LogHeader(Guid Id, Guid Before, ulong Generation)
{
    /// <summary>Bytes set aside for the header: no record shares a block with it.</summary>
    public const int AreaBytes = 4096;

    private const int Bytes = 512, ChecksumAt = 508;

    private static ReadOnlySpan<byte> Magic => "SPSIDE\0\x01"u8;

    /// <summary>Reads the header; <see langword="null"/> when there is none or a damaged one.</summary>
    public static LogHeader? Read(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        if (medium.Read(0, bytes) < Bytes || !bytes.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]) != Checksum.Of(bytes[..ChecksumAt])) return null;
        return new LogHeader(new Guid(bytes[8..24]), new Guid(bytes[24..40]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..]));
    }

    /// <summary>Whether there is nothing where a header would be: a log that was being made when the power failed.</summary>
    public static bool IsBlank(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        return !bytes[..medium.Read(0, bytes)].ContainsAnyExcept((byte)0);
    }

    /// <summary>Writes the header. Not durable on return.</summary>
    public void Write(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        Magic.CopyTo(bytes);
        Id.TryWriteBytes(bytes[8..]);
        Before.TryWriteBytes(bytes[24..]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[40..], Generation);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[ChecksumAt..], Checksum.Of(bytes[..ChecksumAt]));
        medium.Write(0, bytes, ContentClass.JournalHeader);
    }
}
