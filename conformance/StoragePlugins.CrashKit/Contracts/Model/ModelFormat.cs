using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.CrashKit.Contracts.Model;

/// <summary>
/// A disk format in small, the kit's partner for journals and orderings: one sector of header with the journal's mark, a map of eight-byte entries, and
/// blocks of 4 KiB that a write allocates, a discard gives back, and later writes use again. It keeps the contract of a format to the letter and does no
/// more than that, so that what breaks is the strategy under test.
/// </summary>
/// <remarks>
/// Header, little-endian: magic (8), virtual size (8), blocks of the map (8), mark set (8), epoch (8), image id (16), region's offset and length (8, 8),
/// journal id (32), payload's length (4) and payload (256), CRC-32C of all before (4, at byte 508). Sectors are atomic, so the header is.
/// </remarks>
public sealed class ModelFormat : IBlockFormat, ICheckingFormat, IJournaledFormat
{
    /// <summary>The unit of allocation.</summary>
    public const int BlockBytes = 4096;

    private const int MaxFindings = 20;

    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium) => ModelHeader.TryRead(medium, out _) ? FormatMatch.Certain : FormatMatch.No;

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        var header = new ModelHeader { Size = request.Size, MapBlocks = (((request.Size + BlockBytes - 1) / BlockBytes * 8) + BlockBytes - 1) / BlockBytes };
        medium.SetLength(0);
        medium.SetLength((1 + header.MapBlocks) * BlockBytes);
        header.Write(medium);
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context) => new ModelImage(request);

    /// <inheritdoc/>
    public CheckReport Check(IStorageMedium medium, RepairMode repair, StrategyContext context)
    {
        ModelHeader header = ModelHeader.Read(medium);
        if (header.IsMarked) throw new DiagnosticException("SP3030", "the image was not closed cleanly", medium.Name, fix: "recover it first");
        var findings = new List<string>();
        var seen = new Dictionary<long, long>();
        byte[] map = new byte[header.MapBlocks * BlockBytes];
        medium.Read(BlockBytes, map);
        for (int i = 0; i < map.Length; i += 8)
        {
            long host = BinaryPrimitives.ReadInt64LittleEndian(map.AsSpan(i));
            if (host == 0) continue;
            if (host <= header.MapBlocks || host * BlockBytes >= medium.Length) findings.Add($"entry {i / 8} names block {host}, which is none");
            else if (!seen.TryAdd(host, i / 8)) findings.Add($"block {host} is that of entries {seen[host]} and {i / 8}");
        }

        return new CheckReport(findings.Count, 0, 0, 0, [.. findings.Take(MaxFindings)], seen.Count * (long)BlockBytes, medium.Length);
    }

    /// <inheritdoc/>
    public JournalFacts InspectJournal(IStorageMedium medium)
    {
        ModelHeader header = ModelHeader.Read(medium);
        return new JournalFacts(header.IsMarked ? header.Journal : null, null);
    }

    /// <inheritdoc/>
    public void DiscardJournal(IStorageMedium medium)
    {
        ModelHeader header = ModelHeader.Read(medium);
        header.Clear();
        header.Write(medium);
    }
}

/// <summary>The header's fields.</summary>
internal sealed class ModelHeader
{
    private const ulong Magic = 0x544d_524f_464b_5053; // "SPKFORMT"
    private const int Bytes = 512, CrcAt = 508, IdBytes = 32;

    public long Size { get; init; }

    public long MapBlocks { get; init; }

    public bool IsMarked { get; set; }

    public ulong Epoch { get; set; }

    public Guid ImageId { get; set; }

    public JournalRegion Region { get; set; }

    public string Journal { get; set; } = "";

    public byte[] Payload { get; set; } = [];

    public static bool TryRead(IStorageMedium medium, out ModelHeader? header)
    {
        header = null;
        Span<byte> bytes = stackalloc byte[Bytes];
        if (medium.Read(0, bytes) < Bytes || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcAt..]) != Crc(bytes)) return false;
        header = new ModelHeader
        {
            Size = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]),
            MapBlocks = BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
            IsMarked = bytes[24] != 0,
            Epoch = BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]),
            ImageId = new Guid(bytes[40..56]),
            Region = new JournalRegion(BinaryPrimitives.ReadInt64LittleEndian(bytes[56..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[64..])),
            Journal = System.Text.Encoding.ASCII.GetString(bytes.Slice(72, IdBytes)).TrimEnd('\0'),
            Payload = bytes.Slice(108, BinaryPrimitives.ReadInt32LittleEndian(bytes[104..])).ToArray(),
        };
        return true;
    }

    public static ModelHeader Read(IStorageMedium medium) => TryRead(medium, out ModelHeader? header)
        ? header!
        : throw new DiagnosticException("SP3001", "this is no image of the kit's model format", medium.Name, "its magic and a right checksum");

    public void Clear() => (IsMarked, Region, Payload, Journal) = (false, default, [], "");

    public void Write(IStorageMedium medium)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], Size);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], MapBlocks);
        bytes[24] = IsMarked ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], Epoch);
        ImageId.TryWriteBytes(bytes[40..]);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[56..], Region.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], Region.Length);
        System.Text.Encoding.ASCII.GetBytes(Journal, bytes.Slice(72, IdBytes));
        BinaryPrimitives.WriteInt32LittleEndian(bytes[104..], Payload.Length);
        Payload.CopyTo(bytes[108..]);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[CrcAt..], Crc(bytes));
        medium.Write(0, bytes, ContentClass.Header);
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (int i = 0; i < CrcAt; i += 4) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(bytes[i..]));
        return ~crc;
    }
}
