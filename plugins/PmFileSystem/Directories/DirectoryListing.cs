using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>
/// Lists a directory in the order of its names' hashes: splitting a leaf does not change it, so a cursor stays what it was while the directory changes.
/// </summary>
internal sealed class DirectoryListing(Volume volume, DirectoryIndex index)
{
    /// <summary>Entries of the least length in a leaf.</summary>
    private const int MostEntries = (PmLayout.BlockBytes - PmLayout.LeafHeaderBytes) / PmLayout.LeastEntryBytes;

    [ThreadStatic]
    private static (ulong Cursor, int Offset)[]? t_order;

    /// <summary>Shows the entries behind a cursor. The directory is locked.</summary>
    public void Visit(uint number, in InodeRecord directory, ulong cursor, IDirectoryVisitor visitor)
    {
        if (cursor >= 1UL << 62) return;
        (ulong Cursor, int Offset)[] order = t_order ??= new (ulong, int)[MostEntries];
        long slot = DirectoryIndex.SlotOf(cursor << 2, directory.Height), slots = 1L << directory.Height;
        while (slot < slots)
        {
            ulong leaf = index.LeafAt(directory, slot);
            if (leaf == 0) return;
            ReadOnlySpan<byte> content = index.LeafContent(number, leaf);
            int count = Gather(number, content, cursor, order);
            order.AsSpan(0, count).Sort(static (a, b) => a.Cursor.CompareTo(b.Cursor));
            for (int i = 0; i < count; i++)
            {
                int offset = order[i].Offset;
                DirectoryLeaf.TryRead(content, ref offset, out LeafEntry entry);
                if (!visitor.Visit(entry.NameIn(content), entry.Inode, entry.Kind, order[i].Cursor)) return;
            }

            long span = 1L << (directory.Height - Math.Min(DirectoryLeaf.DepthOf(content), (int)directory.Height));
            slot = (slot / span * span) + span;
        }
    }

    // 62 bits of the hash and never 0: a cursor that any client can keep. Two names of one directory do not meet in them.
    private static ulong CursorOf(ulong hash) => (hash >> 2) + 1;

    private int Gather(uint number, ReadOnlySpan<byte> content, ulong cursor, (ulong Cursor, int Offset)[] order)
    {
        int count = 0, offset = PmLayout.LeafHeaderBytes;
        while (DirectoryLeaf.TryRead(content, ref offset, out LeafEntry entry))
        {
            if (entry.Inode == 0) continue;
            ulong place = CursorOf(index.Hash(entry.NameIn(content)));
            if (place > cursor) order[count++] = (place, entry.Offset);
        }

        return offset == PmLayout.BlockBytes ? count : throw volume.Region.Damaged($"a leaf of directory {number} makes no sense at {offset}");
    }
}
