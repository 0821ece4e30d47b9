using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Attributes;

/// <summary>The extended attributes of an inode: one block for all of them, replaced as a whole by a new one. The caller holds the inode's lock.</summary>
internal sealed class ExtendedAttributes(Volume volume)
{
    private const int EntryHeaderBytes = 4;

    private readonly PmRegion _region = volume.Region;

    public FileError Get(uint number, in InodeRecord inode, ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        length = 0;
        ReadOnlySpan<byte> block = Block(number, inode);
        if (!TryFind(block, name, out Entry entry)) return FileError.NoAttribute;
        length = entry.ValueLength;
        if (value.IsEmpty) return FileError.None;
        if (value.Length < length) return FileError.BufferTooSmall;
        entry.ValueIn(block).CopyTo(value);
        _region.Memory.ThrowIfLost();
        return FileError.None;
    }

    public FileError List(uint number, in InodeRecord inode, Span<byte> names, out int length)
    {
        length = 0;
        ReadOnlySpan<byte> block = Block(number, inode);
        for (int offset = PmLayout.AttributesHeaderBytes; TryRead(block, ref offset, out Entry entry);) length += entry.NameLength + 1;
        if (names.IsEmpty) return FileError.None;
        if (names.Length < length) return FileError.BufferTooSmall;
        int at = 0;
        for (int offset = PmLayout.AttributesHeaderBytes; TryRead(block, ref offset, out Entry entry);)
        {
            entry.NameIn(block).CopyTo(names[at..]);
            at += entry.NameLength;
            names[at++] = 0;
        }

        return FileError.None;
    }

    public FileError Set(uint number, in InodeRecord inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode)
    {
        ReadOnlySpan<byte> old = Block(number, inode);
        bool exists = TryFind(old, name, out _);
        if (mode == AttributeMode.Create && exists) return FileError.Exists;
        if (mode == AttributeMode.Replace && !exists) return FileError.NoAttribute;
        Span<byte> changed = stackalloc byte[PmLayout.BlockBytes];
        int used = CopyWithout(old, name, changed);
        int needed = EntryLength(name.Length, value.Length);
        if (value.Length > PmLayout.BlockBytes || used + needed > PmLayout.BlockBytes) return FileError.NoSpace;
        Span<byte> entry = changed.Slice(used, needed);
        entry.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(entry, (ushort)name.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[2..], (ushort)value.Length);
        name.CopyTo(entry[EntryHeaderBytes..]);
        value.CopyTo(entry[(EntryHeaderBytes + name.Length)..]);
        return Store(number, changed, used + needed);
    }

    public FileError Remove(uint number, in InodeRecord inode, ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> old = Block(number, inode);
        if (!TryFind(old, name, out _)) return FileError.NoAttribute;
        Span<byte> changed = stackalloc byte[PmLayout.BlockBytes];
        return Store(number, changed, CopyWithout(old, name, changed));
    }

    private FileError Store(uint number, Span<byte> block, int used)
    {
        Transaction transaction = volume.Journal.Begin();
        ref InodeRecord inode = ref transaction.Edit(number);
        ulong old = inode.Attributes;
        if (used == PmLayout.AttributesHeaderBytes)
        {
            inode.Attributes = 0;
        }
        else
        {
            if (!volume.TryTake(transaction, old, 1, out BlockRun run)) return FileError.NoSpace;
            BinaryPrimitives.WriteUInt32LittleEndian(block, PmLayout.AttributesMagic);
            BinaryPrimitives.WriteUInt32LittleEndian(block[8..], number);
            BinaryPrimitives.WriteUInt32LittleEndian(block[12..], (uint)used);
            BinaryPrimitives.WriteUInt32LittleEndian(block[4..], Crc.Of(block[8..used], 0));
            transaction.StoreInPlace(PmLayout.PlaceOf(run.First), block[..used]);
            inode.Attributes = run.First;
            inode.Blocks++;
        }

        if (old != 0)
        {
            transaction.Free(new BlockRun(old, 1));
            inode.Blocks--;
        }

        inode.ChangeTime = volume.Clock.Now();
        volume.Commit(transaction);
        return FileError.None;
    }

    // The used part of the block; empty when there are no attributes.
    private ReadOnlySpan<byte> Block(uint number, in InodeRecord inode)
    {
        if (inode.Attributes == 0) return [];
        ReadOnlySpan<byte> block = _region.Block(_region.Checked(inode.Attributes));
        uint used = BinaryPrimitives.ReadUInt32LittleEndian(block[12..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(block) != PmLayout.AttributesMagic || BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) != number
            || used is < PmLayout.AttributesHeaderBytes or > PmLayout.BlockBytes || BinaryPrimitives.ReadUInt32LittleEndian(block[4..]) != Crc.Of(block[8..(int)used], 0))
            throw _region.Damaged($"the extended attributes of inode {number}");
        return block[..(int)used];
    }

    private static int CopyWithout(ReadOnlySpan<byte> old, ReadOnlySpan<byte> name, Span<byte> to)
    {
        to[..PmLayout.AttributesHeaderBytes].Clear();
        int used = PmLayout.AttributesHeaderBytes;
        for (int offset = PmLayout.AttributesHeaderBytes; TryRead(old, ref offset, out Entry entry);)
        {
            if (entry.NameIn(old).SequenceEqual(name)) continue;
            old[entry.Offset..offset].CopyTo(to[used..]);
            used += offset - entry.Offset;
        }

        return used;
    }

    private static bool TryFind(ReadOnlySpan<byte> block, ReadOnlySpan<byte> name, out Entry entry)
    {
        for (int offset = PmLayout.AttributesHeaderBytes; TryRead(block, ref offset, out entry);)
            if (entry.NameIn(block).SequenceEqual(name)) return true;
        return false;
    }

    private static bool TryRead(ReadOnlySpan<byte> block, ref int offset, out Entry entry)
    {
        entry = default;
        if (offset + EntryHeaderBytes > block.Length) return false;
        entry = new Entry(offset, BinaryPrimitives.ReadUInt16LittleEndian(block[offset..]), BinaryPrimitives.ReadUInt16LittleEndian(block[(offset + 2)..]));
        int length = EntryLength(entry.NameLength, entry.ValueLength);
        if (length > block.Length - offset) return false;
        offset += length;
        return true;
    }

    private static int EntryLength(int name, int value) => (EntryHeaderBytes + name + value + 3) & ~3;

    private readonly record struct Entry(int Offset, int NameLength, int ValueLength)
    {
        public ReadOnlySpan<byte> NameIn(ReadOnlySpan<byte> block) => block.Slice(Offset + EntryHeaderBytes, NameLength);

        public ReadOnlySpan<byte> ValueIn(ReadOnlySpan<byte> block) => block.Slice(Offset + EntryHeaderBytes + NameLength, ValueLength);
    }
}
