using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.PmJournal.Region;

/// <summary>What a journal region says of itself: which it is, how long, and whose. Two copies take turns, so that one is always whole.</summary>
/// <param name="Id">Made when the region was formatted.</param>
/// <param name="Length">The region's length in bytes when it was formatted.</param>
/// <param name="Owner">The image that uses it, or used it last.</param>
/// <param name="Epoch">The owner's epoch.</param>
/// <param name="Use">What the owner has in it, and how.</param>
/// <param name="Generation">Rises with each change.</param>
internal sealed record RegionHeader(Guid Id, long Length, Guid Owner, ulong Epoch, RegionUse Use, ulong Generation)
{
    /// <summary>Bytes before the ring: a page, so that msync never writes header and records together.</summary>
    public const int AreaBytes = 4096;

    private const int Copies = 2;
    private const int CopyDistance = 512;
    private const int CopyBytes = 128;
    private const int ChecksumPosition = 12;
    private const uint Version = 1;

    private static ReadOnlySpan<byte> Magic => "SPPMJRNL"u8;

    /// <summary>Reads the newer valid copy.</summary>
    /// <param name="memory">The region, at least <see cref="AreaBytes"/> long.</param>
    /// <param name="problem">Why there is none; null when there is one, or when the area holds only zeros.</param>
    public static RegionHeader? Read(IPersistentMemory memory, out string? problem)
    {
        problem = null;
        RegionHeader? newest = null;
        for (int copy = 0; copy < Copies; copy++)
        {
            RegionHeader? header = Parse(memory.View(copy * CopyDistance, CopyBytes), ref problem);
            if (header is not null && (newest is null || header.Generation > newest.Generation)) newest = header;
        }

        if (newest is not null) problem = null;
        else if (problem is null && !IsBlank(memory)) problem = "something else";
        memory.ThrowIfLost();
        return newest;
    }

    /// <summary>Replaces the older copy. Durable on return; a crash within leaves the newer one, or a blank region blank.</summary>
    public void Write(IPersistentMemory memory)
    {
        Span<byte> copy = stackalloc byte[CopyBytes];
        copy.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(copy[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(copy[16..], Generation);
        Id.TryWriteBytes(copy[24..]);
        BinaryPrimitives.WriteInt64LittleEndian(copy[40..], Length);
        Owner.TryWriteBytes(copy[48..]);
        BinaryPrimitives.WriteUInt64LittleEndian(copy[64..], Epoch);
        BinaryPrimitives.WriteUInt32LittleEndian(copy[72..], (uint)Use);
        BinaryPrimitives.WriteUInt32LittleEndian(copy[ChecksumPosition..], Checksum(copy));
        long at = (long)(Generation % Copies) * CopyDistance;
        StoreDurably(memory, at, copy);
        // One atomic word makes it a header.
        Magic.CopyTo(copy);
        StoreDurably(memory, at, copy);
    }

    private static void StoreDurably(IPersistentMemory memory, long at, ReadOnlySpan<byte> copy)
    {
        memory.StoreNonTemporal(at, copy);
        if (memory.Domain == PersistenceDomain.Msync) memory.Persist(at, CopyBytes);
        else memory.Fence();
    }

    // What a crash left of a first header without its magic counts as blank.
    private static bool IsBlank(IPersistentMemory memory)
    {
        ReadOnlySpan<byte> area = memory.View(0, AreaBytes);
        for (int copy = 0; copy < Copies; copy++)
        {
            ReadOnlySpan<byte> place = area.Slice(copy * CopyDistance, CopyDistance);
            if (place[..Magic.Length].IndexOfAnyExcept((byte)0) >= 0 || place[CopyBytes..].IndexOfAnyExcept((byte)0) >= 0) return false;
        }

        return area[(Copies * CopyDistance)..].IndexOfAnyExcept((byte)0) < 0;
    }

    private static RegionHeader? Parse(ReadOnlySpan<byte> copy, ref string? problem)
    {
        if (!copy[..8].SequenceEqual(Magic)) return null;
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(copy[8..]);
        if (version != Version)
        {
            problem = $"a journal header of version {version}";
            return null;
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(copy[ChecksumPosition..]) != Checksum(copy))
        {
            problem ??= "a journal header with a wrong checksum";
            return null;
        }

        return new RegionHeader(
            new Guid(copy.Slice(24, 16)), BinaryPrimitives.ReadInt64LittleEndian(copy[40..]), new Guid(copy.Slice(48, 16)), BinaryPrimitives.ReadUInt64LittleEndian(copy[64..]),
            (RegionUse)BinaryPrimitives.ReadUInt32LittleEndian(copy[72..]), BinaryPrimitives.ReadUInt64LittleEndian(copy[16..]));
    }

    private static uint Checksum(ReadOnlySpan<byte> copy)
    {
        // The magic comes last and counts as zero, as does the checksum's own place.
        uint crc = uint.MaxValue;
        for (int i = 8; i < CopyBytes; i += 4)
        {
            crc = BitOperations.Crc32C(crc, i == ChecksumPosition ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(copy[i..]));
        }

        return ~crc;
    }
}

/// <summary>What a region holds.</summary>
[Flags]
internal enum RegionUse : uint
{
    /// <summary>Nothing that anybody needs.</summary>
    None = 0,

    /// <summary>Records that the owner needs after a crash.</summary>
    InUse = 1,

    /// <summary>The records were stored in the msync domain: their checksums alone say whether they are whole.</summary>
    ByMsync = 2,

    /// <summary>A session made the file, and removes it when it closes.</summary>
    MadeBySession = 4,
}
