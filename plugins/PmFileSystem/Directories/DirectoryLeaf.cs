using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>A name in a leaf.</summary>
/// <param name="Offset">Of the entry in the leaf.</param>
/// <param name="Inode">0 for free space.</param>
/// <param name="Hash">The top 32 bits of the name's hash.</param>
/// <param name="Length">Of the entry.</param>
/// <param name="NameLength">Of the name.</param>
/// <param name="Kind">The kind of the inode.</param>
internal readonly record struct LeafEntry(int Offset, uint Inode, uint Hash, int Length, int NameLength, NodeKind Kind)
{
    public ReadOnlySpan<byte> NameIn(ReadOnlySpan<byte> leaf) => leaf.Slice(Offset + PmLayout.EntryHeaderBytes, NameLength);
}

/// <summary>A block of directory entries: reading it, and changing a copy of it.</summary>
internal static class DirectoryLeaf
{
    public static void Initialize(Span<byte> leaf, uint directory, int depth)
    {
        leaf.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(leaf, PmLayout.LeafMagic);
        leaf[4] = (byte)depth;
        BinaryPrimitives.WriteUInt32LittleEndian(leaf[8..], directory);
        PutFree(leaf, PmLayout.LeafHeaderBytes, PmLayout.BlockBytes - PmLayout.LeafHeaderBytes);
    }

    public static int DepthOf(ReadOnlySpan<byte> leaf) => leaf[4];

    /// <summary>Whether it is a leaf of this directory at all.</summary>
    public static bool IsLeafOf(ReadOnlySpan<byte> leaf, uint directory) =>
        BinaryPrimitives.ReadUInt32LittleEndian(leaf) == PmLayout.LeafMagic && BinaryPrimitives.ReadUInt32LittleEndian(leaf[8..]) == directory;

    /// <summary>The entry behind another one.</summary>
    /// <param name="leaf">The leaf.</param>
    /// <param name="offset">Where it starts; 16 for the first. Moved behind it.</param>
    /// <param name="entry">The entry, free space included.</param>
    /// <returns>False at the end, and when what is there makes no sense: then <paramref name="offset"/> is not the block's length.</returns>
    public static bool TryRead(ReadOnlySpan<byte> leaf, ref int offset, out LeafEntry entry)
    {
        entry = default;
        if (offset > PmLayout.BlockBytes - PmLayout.LeastEntryBytes) return false;
        ReadOnlySpan<byte> at = leaf[offset..];
        int length = BinaryPrimitives.ReadUInt16LittleEndian(at[8..]);
        int nameLength = at[10];
        uint inode = BinaryPrimitives.ReadUInt32LittleEndian(at);
        if (length < PmLayout.LeastEntryBytes || length % 8 != 0 || length > at.Length || (inode != 0 && PmLayout.EntryHeaderBytes + nameLength > length)) return false;
        entry = new LeafEntry(offset, inode, BinaryPrimitives.ReadUInt32LittleEndian(at[4..]), length, nameLength, (NodeKind)at[11]);
        offset += length;
        return true;
    }

    /// <summary>Finds a name.</summary>
    public static bool TryFind(ReadOnlySpan<byte> leaf, ReadOnlySpan<byte> name, uint hash, out LeafEntry entry)
    {
        int offset = PmLayout.LeafHeaderBytes;
        while (TryRead(leaf, ref offset, out entry))
            if (entry.Inode != 0 && entry.Hash == hash && entry.NameLength == name.Length && entry.NameIn(leaf).SequenceEqual(name)) return true;
        return false;
    }

    /// <summary>Bytes that an entry with such a name needs.</summary>
    public static int LengthFor(int nameLength) => (PmLayout.EntryHeaderBytes + nameLength + 7) & ~7;

    public static bool HasRoomFor(ReadOnlySpan<byte> leaf, int nameLength)
    {
        int offset = PmLayout.LeafHeaderBytes, needed = LengthFor(nameLength);
        while (TryRead(leaf, ref offset, out LeafEntry entry))
            if (entry.Inode == 0 && entry.Length >= needed) return true;
        return false;
    }

    /// <summary>Puts a name into free space, which must be there.</summary>
    public static void Insert(Span<byte> leaf, ReadOnlySpan<byte> name, uint hash, uint inode, NodeKind kind)
    {
        int offset = PmLayout.LeafHeaderBytes, needed = LengthFor(name.Length);
        while (TryRead(leaf, ref offset, out LeafEntry free))
        {
            if (free.Inode != 0 || free.Length < needed) continue;
            // What is too small for an entry stays with this one.
            int length = free.Length - needed >= PmLayout.LeastEntryBytes ? needed : free.Length;
            if (length < free.Length) PutFree(leaf, free.Offset + length, free.Length - length);
            Span<byte> at = leaf.Slice(free.Offset, length);
            BinaryPrimitives.WriteUInt32LittleEndian(at, inode);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], hash);
            BinaryPrimitives.WriteUInt16LittleEndian(at[8..], (ushort)length);
            at[10] = (byte)name.Length;
            at[11] = (byte)kind;
            name.CopyTo(at[PmLayout.EntryHeaderBytes..]);
            return;
        }

        throw new InvalidOperationException("The leaf was said to have room.");
    }

    /// <summary>Makes an entry free space, one with the free space beside it.</summary>
    public static void Remove(Span<byte> leaf, int entryOffset)
    {
        int offset = PmLayout.LeafHeaderBytes, start = -1, length = 0;
        while (TryRead(leaf, ref offset, out LeafEntry entry))
        {
            if (entry.Inode != 0 && entry.Offset != entryOffset)
            {
                if (entry.Offset > entryOffset) break;
                start = -1;
                continue;
            }

            if (start < 0) (start, length) = (entry.Offset, 0);
            length += entry.Length;
        }

        PutFree(leaf, start, length);
    }

    /// <summary>Makes an entry refer to another inode.</summary>
    public static void Redirect(Span<byte> leaf, int entryOffset, uint inode, NodeKind kind)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(leaf[entryOffset..], inode);
        leaf[entryOffset + 11] = (byte)kind;
    }

    private static void PutFree(Span<byte> leaf, int offset, int length)
    {
        leaf.Slice(offset, PmLayout.EntryHeaderBytes).Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(leaf[(offset + 8)..], (ushort)length);
    }
}
