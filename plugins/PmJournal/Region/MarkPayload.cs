using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.PmJournal.Region;

/// <summary>What the image's in-use mark says of the journal.</summary>
/// <param name="IsReady">False while the region is being prepared: then it holds nothing.</param>
/// <param name="Region">The region's id.</param>
/// <param name="Path">Where it was.</param>
internal sealed record MarkPayload(bool IsReady, Guid Region, string Path)
{
    private const byte Version = 1;
    private const int HeadBytes = 20;

    /// <summary>The longest path, in bytes of UTF-8.</summary>
    public const int MaxPathBytes = IInUseMark.MaxPayloadBytes - HeadBytes;

    /// <exception cref="DiagnosticException">SP3140: the path is too long.</exception>
    public byte[] ToBytes()
    {
        int pathBytes = Encoding.UTF8.GetByteCount(Path);
        if (pathBytes > MaxPathBytes)
        {
            throw new DiagnosticException(
                "SP3140", "the journal's path is too long for the image's mark", Path, $"at most {MaxPathBytes} bytes", $"{pathBytes}", "name a shorter one with the option 'path'");
        }

        byte[] bytes = new byte[HeadBytes + pathBytes];
        bytes[0] = Version;
        bytes[1] = IsReady ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), (ushort)pathBytes);
        Region.TryWriteBytes(bytes.AsSpan(4));
        Encoding.UTF8.GetBytes(Path, bytes.AsSpan(HeadBytes));
        return bytes;
    }

    /// <exception cref="DiagnosticException">SP3139: it was not written by this journal.</exception>
    public static MarkPayload Parse(ReadOnlySpan<byte> bytes, string image)
    {
        if (bytes.Length < HeadBytes || bytes[0] != Version || bytes[1] > 1 || BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]) != bytes.Length - HeadBytes)
        {
            throw new DiagnosticException(
                "SP3139", "the image's mark cannot be understood by this version of the journal", image, found: $"{bytes.Length} bytes: {Convert.ToHexString(bytes[..Math.Min(bytes.Length, 8)])}…",
                fix: "open it with the version of sphost that wrote it");
        }

        return new MarkPayload(bytes[1] == 1, new Guid(bytes.Slice(4, 16)), Encoding.UTF8.GetString(bytes[HeadBytes..]));
    }
}
