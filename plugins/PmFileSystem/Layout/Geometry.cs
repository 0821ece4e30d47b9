using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace StoragePlugins.PmFileSystem.Layout;

/// <summary>What the superblock says: where everything lies. Immutable.</summary>
internal sealed record Geometry
{
    public required Guid Id { get; init; }

    /// <summary>The key of the name hash.</summary>
    public required (ulong Low, ulong High) Secret { get; init; }

    /// <summary>Bytes of the region.</summary>
    public required long Length { get; init; }

    public required uint Inodes { get; init; }

    public required long Journal { get; init; }

    public required int Lanes { get; init; }

    public required int LaneBytes { get; init; }

    public required long BlockBitmap { get; init; }

    public required long NodeBitmap { get; init; }

    public required long OrphanBitmap { get; init; }

    public required long InodeTable { get; init; }

    public required long FirstDataBlock { get; init; }

    /// <summary>Nanoseconds since 1970.</summary>
    public required long Created { get; init; }

    public long Blocks => Length >> PmLayout.BlockShift;

    /// <summary>The block behind the last one for data: it holds the superblock's copy.</summary>
    public long EndOfData => Blocks - 1;

    public uint RecordSeed => (uint)Secret.Low;

    public long InodeOffset(ulong inode) => InodeTable + ((long)inode * PmLayout.InodeBytes);

    /// <summary>Whether a block number may stand in a map.</summary>
    public bool IsDataBlock(ulong block) => block >= (ulong)FirstDataBlock && block < (ulong)EndOfData;

    /// <summary>Lays out a new region.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="length">Bytes; a part of a block at the end is left out.</param>
    /// <param name="bytesPerInode">One inode for so many bytes.</param>
    /// <exception cref="DiagnosticException">SP3201: too small or too large.</exception>
    public static Geometry Plan(string name, long length, long bytesPerInode)
    {
        length = length / PmLayout.BlockBytes * PmLayout.BlockBytes;
        if (length is < PmLayout.LeastRegionBytes or > PmLayout.MostRegionBytes)
            throw new DiagnosticException("SP3201", "a region of this size cannot hold a file system", name, "1 MiB to 16 TiB", $"{length} bytes", "give another size");
        long inodes = PmLayout.RoundUp(Math.Clamp(length / bytesPerInode, 64, uint.MaxValue - 64), 64);
        // A lane a core, and no more of a small region than a sixteenth.
        int laneBytes = length >= 16L << 20 ? 64 << 10 : PmLayout.LeastLaneBytes;
        int lanes = (int)Math.Clamp(length / 16 / laneBytes, 2, 16);
        long journal = PmLayout.BlockBytes;
        long blockBitmap = journal + ((long)lanes * laneBytes);
        long nodeBitmap = blockBitmap + BitmapBytes(length >> PmLayout.BlockShift);
        long orphanBitmap = nodeBitmap + BitmapBytes(inodes);
        long table = orphanBitmap + BitmapBytes(inodes);
        long data = PmLayout.RoundUp(table + (inodes * PmLayout.InodeBytes), PmLayout.BlockBytes);
        return new Geometry
        {
            Id = Guid.NewGuid(),
            Secret = (BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8)), BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8))),
            Length = length, Inodes = (uint)inodes, Journal = journal, Lanes = lanes, LaneBytes = laneBytes, BlockBitmap = blockBitmap, NodeBitmap = nodeBitmap,
            OrphanBitmap = orphanBitmap, InodeTable = table, FirstDataBlock = data >> PmLayout.BlockShift, Created = CoarseClock.Precise(),
        };
    }

    /// <summary>Bytes of a bitmap with so many bits, padding included.</summary>
    public static long BitmapBytes(long bits) => PmLayout.RoundUp((bits + 7) / 8, PmLayout.BlockBytes);

    /// <summary>The superblock's first 256 bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[PmLayout.SuperblockBytes];
        PmLayout.Magic.CopyTo(bytes);
        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
        Put32(8, PmLayout.Version);
        Id.TryWriteBytes(bytes.AsSpan(16));
        Put64(32, Secret.Low);
        Put64(40, Secret.High);
        Put64(48, (ulong)Length);
        Put32(56, PmLayout.BlockBytes);
        Put32(60, Inodes);
        Put64(64, (ulong)Journal);
        Put32(72, (uint)Lanes);
        Put32(76, (uint)LaneBytes);
        Put64(80, (ulong)BlockBitmap);
        Put64(88, (ulong)NodeBitmap);
        Put64(96, (ulong)OrphanBitmap);
        Put64(104, (ulong)InodeTable);
        Put64(112, (ulong)FirstDataBlock);
        Put64(120, (ulong)Created);
        Put32(12, Crc.Of(bytes, 0));
        return bytes;
    }

    /// <summary>Reads and judges a superblock.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="bytes">256 bytes.</param>
    /// <param name="mediumLength">Bytes of the medium.</param>
    /// <exception cref="DiagnosticException">SP3202 foreign, SP3203 of another version, SP3204 damaged, SP3205 truncated.</exception>
    public static Geometry Read(string name, ReadOnlySpan<byte> bytes, long mediumLength)
    {
        if (bytes.Length < PmLayout.SuperblockBytes || !bytes[..8].SequenceEqual(PmLayout.Magic))
            throw new DiagnosticException("SP3202", "this is no pmfs image", name, "the magic 'SPpmfs' at its start", fix: "name another image or pipeline; 'sphost image info' tells the format");
        uint Get32(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt32LittleEndian(from[at..]);
        long Get64(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadInt64LittleEndian(from[at..]);
        uint version = Get32(bytes, 8);
        Span<byte> copy = stackalloc byte[PmLayout.SuperblockBytes];
        bytes[..PmLayout.SuperblockBytes].CopyTo(copy);
        copy.Slice(12, 4).Clear();
        bool isIntact = Crc.Of(copy, 0) == Get32(bytes, 12);
        // A later version may lay out its superblock differently: its number is believed before the checksum.
        if (version != PmLayout.Version && (version > PmLayout.Version || isIntact))
            throw new DiagnosticException("SP3203", "the image has a version that this pmfs does not know", name, $"version {PmLayout.Version}", $"version {version}", "use a newer sphost");
        if (!isIntact) throw Damaged(name, "its checksum is wrong");
        if (Get64(bytes, 128) != 0) throw new DiagnosticException("SP3203", "the image uses features that this pmfs does not know", name, "none", $"0x{Get64(bytes, 128):x}", "use a newer sphost");
        var geometry = new Geometry
        {
            Id = new Guid(bytes.Slice(16, 16)),
            Secret = ((ulong)Get64(bytes, 32), (ulong)Get64(bytes, 40)),
            Length = Get64(bytes, 48), Inodes = Get32(bytes, 60), Journal = Get64(bytes, 64), Lanes = (int)Get32(bytes, 72), LaneBytes = (int)Get32(bytes, 76),
            BlockBitmap = Get64(bytes, 80), NodeBitmap = Get64(bytes, 88), OrphanBitmap = Get64(bytes, 96), InodeTable = Get64(bytes, 104), FirstDataBlock = Get64(bytes, 112),
            Created = Get64(bytes, 120),
        };
        if (Get32(bytes, 56) != PmLayout.BlockBytes || !geometry.IsConsistent()) throw Damaged(name, "its areas do not fit together");
        if (geometry.Length > mediumLength)
            throw new DiagnosticException("SP3205", "the image is cut off", name, $"{geometry.Length} bytes", $"{mediumLength} bytes", "restore the whole image; nothing was changed");
        return geometry;
    }

    private static DiagnosticException Damaged(string name, string how) =>
        new("SP3204", $"the superblock is damaged: {how}", name, fix: "'sphost image check --repair all' takes the copy in the last block");

    // Areas in order, each as long as it must be, none beyond the end.
    private bool IsConsistent()
    {
        if (Length is < PmLayout.LeastRegionBytes or > PmLayout.MostRegionBytes || Length % PmLayout.BlockBytes != 0) return false;
        if (Inodes < 64 || Inodes % 64 != 0 || Lanes is < 1 or > 1024 || LaneBytes < PmLayout.LeastLaneBytes || LaneBytes % PmLayout.BlockBytes != 0) return false;
        long nodeBitmapBytes = BitmapBytes(Inodes);
        return Journal == PmLayout.BlockBytes
            && BlockBitmap == Journal + ((long)Lanes * LaneBytes)
            && NodeBitmap == BlockBitmap + BitmapBytes(Blocks)
            && OrphanBitmap == NodeBitmap + nodeBitmapBytes
            && InodeTable == OrphanBitmap + nodeBitmapBytes
            && FirstDataBlock == PmLayout.RoundUp(InodeTable + ((long)Inodes * PmLayout.InodeBytes), PmLayout.BlockBytes) >> PmLayout.BlockShift
            && FirstDataBlock < EndOfData;
    }
}

/// <summary>CRC-32C.</summary>
internal static class Crc
{
    /// <summary>The checksum of some bytes, begun with a seed instead of 0.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes, uint seed)
    {
        uint crc = ~seed;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (byte rest in bytes[(words.Length * 8)..]) crc = BitOperations.Crc32C(crc, rest);
        return ~crc;
    }
}
