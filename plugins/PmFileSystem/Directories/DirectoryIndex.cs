using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>Where an entry is.</summary>
/// <param name="Leaf">Its leaf; 0 when the name is not there and the directory has no leaf.</param>
/// <param name="Entry">The entry; its inode is 0 when the name is not there.</param>
internal readonly record struct EntryPlace(ulong Leaf, LeafEntry Entry);

/// <summary>
/// Extendible hashing over the names of a directory: the top bits of a name's hash select its leaf, at any size one block to look through. Splitting a leaf and
/// doubling the index are transactions of their own, before what needs the room; neither changes what the directory says.
/// </summary>
/// <remarks>The caller holds the directory's lock, for writing where something is changed.</remarks>
internal sealed class DirectoryIndex(Volume volume)
{
    private const int HashBits = 64;

    /// <summary>A leaf in more blocks of the index than this is not split: a keyed hash does not do that.</summary>
    private const int MostIndexBlocksPerLeaf = 128;

    private readonly PmRegion _region = volume.Region;

    public ulong Hash(ReadOnlySpan<byte> name) => NameHash.Of(name, _region.Geometry.Secret);

    public static uint Top(ulong hash) => (uint)(hash >> 32);

    public bool TryFind(uint number, in InodeRecord directory, ReadOnlySpan<byte> name, ulong hash, out EntryPlace place)
    {
        place = default;
        ulong leaf = LeafAt(directory, SlotOf(hash, directory.Height));
        if (leaf == 0) return false;
        bool found = DirectoryLeaf.TryFind(LeafContent(number, leaf), name, Top(hash), out LeafEntry entry);
        place = new EntryPlace(leaf, found ? entry : default);
        return found;
    }

    /// <summary>The leaf that a name belongs to, with room for it.</summary>
    /// <returns>0 when there is no space left.</returns>
    public ulong MakeRoom(uint number, int nameLength, ulong hash)
    {
        while (true)
        {
            _region.ReadInode(number, out InodeRecord directory);
            long slot = SlotOf(hash, directory.Height);
            ulong leaf = LeafAt(directory, slot);
            if (leaf == 0)
            {
                if (!TryMakeFirstLeaf(number)) return 0;
                continue;
            }

            ReadOnlySpan<byte> content = LeafContent(number, leaf);
            if (DirectoryLeaf.HasRoomFor(content, nameLength)) return leaf;
            int depth = DirectoryLeaf.DepthOf(content);
            if (depth > directory.Height) throw _region.Damaged($"leaf {leaf} of directory {number} is deeper than its index");
            bool done = depth < directory.Height ? TrySplit(number, directory, leaf, slot) : directory.Height < PmLayout.MostDepth && TryDouble(number, directory);
            if (!done) return 0;
        }
    }

    /// <summary>Puts a name into a leaf that has room for it.</summary>
    public static void Insert(Transaction transaction, ulong leaf, ReadOnlySpan<byte> name, ulong hash, uint inode, NodeKind kind) =>
        DirectoryLeaf.Insert(transaction.EditLeaf(leaf), name, Top(hash), inode, kind);

    /// <summary>The leaf at a place of the index, and its content, judged.</summary>
    public ulong LeafAt(in InodeRecord directory, long slot)
    {
        if (directory.Root == 0) return 0;
        int depth = directory.Height;
        if (depth > PmLayout.MostDepth) throw _region.Damaged($"a directory is {depth} bits deep");
        ulong block = _region.Checked(directory.Root);
        if (depth == 0) return block;
        if (depth > PmLayout.FanOutShift) block = _region.Checked(_region.Pointers(block)[(int)(slot >> PmLayout.FanOutShift)]);
        return _region.Checked(_region.Pointers(block)[(int)(slot & (PmLayout.FanOut - 1))]);
    }

    public ReadOnlySpan<byte> LeafContent(uint number, ulong leaf)
    {
        ReadOnlySpan<byte> content = _region.Block(leaf);
        return DirectoryLeaf.IsLeafOf(content, number) ? content : throw _region.Damaged($"block {leaf} is not a leaf of directory {number}");
    }

    /// <summary>The place of the index for a hash.</summary>
    public static long SlotOf(ulong hash, int depth) => depth == 0 ? 0 : (long)(hash >> (HashBits - depth));

    /// <summary>Gives all blocks of a directory back, in as many transactions as it takes, and so that it can go on after a crash. Nobody can find it any more.</summary>
    public void Clear(uint number)
    {
        while (true)
        {
            Transaction transaction = volume.Journal.Begin();
            ref InodeRecord directory = ref transaction.Edit(number);
            if (directory.Root == 0) return;
            ulong root = _region.Checked(directory.Root);
            bool isWhole = directory.Height switch
            {
                0 => true,
                <= PmLayout.FanOutShift => ClearSlots(transaction, ref directory, root, 0, 1L << directory.Height),
                _ => ClearIndexBlocks(transaction, ref directory, root),
            };
            if (isWhole)
            {
                transaction.FreeLater(root);
                (directory.Root, directory.Height, directory.Size) = (0, 0, 0);
                directory.Blocks--;
            }

            volume.Commit(transaction);
        }
    }

    // The last block of the index that is still there; all of them gone?
    private bool ClearIndexBlocks(Transaction transaction, ref InodeRecord directory, ulong root)
    {
        ReadOnlySpan<ulong> blocks = _region.Pointers(root)[..(1 << (directory.Height - PmLayout.FanOutShift))];
        int last = blocks.LastIndexOfAnyExcept(0UL);
        if (last < 0) return true;
        ulong block = _region.Checked(blocks[last]);
        if (!ClearSlots(transaction, ref directory, block, (long)last << PmLayout.FanOutShift, PmLayout.FanOut)) return false;
        transaction.FreeLater(block);
        directory.Blocks--;
        transaction.SetWord(PmLayout.PlaceOf(root, last), 0);
        return last == 0;
    }

    // Leaves from the end on, as many as fit a record. A leaf goes with the first place that it has.
    private bool ClearSlots(Transaction transaction, ref InodeRecord directory, ulong block, long firstSlot, long count)
    {
        ReadOnlySpan<ulong> slots = _region.Pointers(block)[..(int)count];
        int end = slots.LastIndexOfAnyExcept(0UL) + 1;
        while (end > 0 && !transaction.IsNearlyFull)
        {
            ulong leaf = _region.Checked(slots[end - 1]);
            int start = end - 1;
            while (start > 0 && slots[start - 1] == leaf) start--;
            transaction.Fill(PmLayout.PlaceOf(block, start), end - start, 0);
            long span = 1L << (directory.Height - Math.Min(DirectoryLeaf.DepthOf(_region.Block(leaf)), (int)directory.Height));
            if ((firstSlot + start) % span == 0)
            {
                transaction.FreeLater(leaf);
                directory.Blocks--;
            }

            end = start;
        }

        return end == 0;
    }

    private bool TryMakeFirstLeaf(uint number)
    {
        Transaction transaction = volume.Journal.Begin();
        if (!volume.TryTake(transaction, 0, 1, out BlockRun run)) return false;
        Span<byte> leaf = stackalloc byte[PmLayout.BlockBytes];
        DirectoryLeaf.Initialize(leaf, number, 0);
        transaction.StoreInPlace(PmLayout.PlaceOf(run.First), leaf);
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Root = run.First;
        directory.Size = PmLayout.BlockBytes;
        directory.Blocks++;
        volume.Commit(transaction);
        return true;
    }

    private bool TrySplit(uint number, in InodeRecord before, ulong leaf, long slot)
    {
        Transaction transaction = volume.Journal.Begin();
        if (!TryTakeTwo(transaction, leaf, out ulong low, out ulong high)) return false;
        ReadOnlySpan<byte> content = LeafContent(number, leaf);
        int depth = DirectoryLeaf.DepthOf(content);
        long span = 1L << (before.Height - depth), first = slot / span * span;
        if (span / PmLayout.FanOut > MostIndexBlocksPerLeaf)
        {
            volume.GiveUp(transaction);
            return false;
        }

        Span<byte> lowContent = stackalloc byte[PmLayout.BlockBytes];
        Span<byte> highContent = stackalloc byte[PmLayout.BlockBytes];
        DirectoryLeaf.Initialize(lowContent, number, depth + 1);
        DirectoryLeaf.Initialize(highContent, number, depth + 1);
        int offset = PmLayout.LeafHeaderBytes;
        while (DirectoryLeaf.TryRead(content, ref offset, out LeafEntry entry))
        {
            if (entry.Inode == 0) continue;
            bool isHigh = (entry.Hash >> (31 - depth) & 1) != 0;
            DirectoryLeaf.Insert(isHigh ? highContent : lowContent, entry.NameIn(content), entry.Hash, entry.Inode, entry.Kind);
        }

        if (offset != PmLayout.BlockBytes) throw _region.Damaged($"leaf {leaf} of directory {number} makes no sense at {offset}");
        transaction.StoreInPlace(PmLayout.PlaceOf(low), lowContent);
        transaction.StoreInPlace(PmLayout.PlaceOf(high), highContent);
        PointTo(transaction, before, first, span / 2, low);
        PointTo(transaction, before, first + (span / 2), span / 2, high);
        transaction.FreeLater(leaf);
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Size += PmLayout.BlockBytes;
        directory.Blocks++;
        volume.Commit(transaction);
        return true;
    }

    // Places of the index that follow each other.
    private void PointTo(Transaction transaction, in InodeRecord directory, long slot, long count, ulong leaf)
    {
        for (long end = slot + count; slot < end;)
        {
            int within = (int)(slot & (PmLayout.FanOut - 1));
            int here = (int)Math.Min(end - slot, PmLayout.FanOut - within);
            ulong block = directory.Height <= PmLayout.FanOutShift ? directory.Root : _region.Pointers(directory.Root)[(int)(slot >> PmLayout.FanOutShift)];
            transaction.Fill(PmLayout.PlaceOf(_region.Checked(block), within), here, leaf);
            slot += here;
        }
    }

    // A new index of twice the length beside the old one, then the inode's word that says which counts.
    private bool TryDouble(uint number, in InodeRecord before)
    {
        Transaction transaction = volume.Journal.Begin();
        int depth = before.Height + 1;
        int blocks = depth <= PmLayout.FanOutShift ? 0 : 1 << (depth - PmLayout.FanOutShift);
        var taken = new List<ulong>(blocks + 1);
        while (taken.Count < blocks + 1)
        {
            if (transaction.IsNearlyFull || !volume.TryTake(transaction, before.Root, blocks + 1 - taken.Count, out BlockRun run))
            {
                volume.GiveUp(transaction);
                return false;
            }

            for (long i = 0; i < run.Count; i++) taken.Add(run.First + (ulong)i);
        }

        ulong[] slots = new ulong[PmLayout.FanOut];
        int perBlock = depth <= PmLayout.FanOutShift ? 1 << depth : PmLayout.FanOut;
        for (int block = 0; block < Math.Max(blocks, 1); block++)
        {
            for (int i = 0; i < perBlock; i++) slots[i] = LeafAt(before, (((long)block << PmLayout.FanOutShift) + i) >> 1);
            transaction.StoreInPlace(PmLayout.PlaceOf(taken[block + (blocks > 0 ? 1 : 0)]), MemoryMarshal.AsBytes(slots.AsSpan()));
        }

        if (blocks > 0)
        {
            slots.AsSpan().Clear();
            CollectionsMarshal.AsSpan(taken)[1..].CopyTo(slots);
            transaction.StoreInPlace(PmLayout.PlaceOf(taken[0]), MemoryMarshal.AsBytes(slots.AsSpan()));
        }

        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Blocks += taken.Count;
        if (before.Height > 0) directory.Blocks -= FreeIndex(transaction, before);
        directory.Root = taken[0];
        directory.Height = (byte)depth;
        volume.Commit(transaction);
        return true;
    }

    private int FreeIndex(Transaction transaction, in InodeRecord before)
    {
        transaction.FreeLater(before.Root);
        if (before.Height <= PmLayout.FanOutShift) return 1;
        ReadOnlySpan<ulong> blocks = _region.Pointers(before.Root)[..(1 << (before.Height - PmLayout.FanOutShift))];
        foreach (ulong block in blocks) transaction.FreeLater(_region.Checked(block));
        return blocks.Length + 1;
    }

    private bool TryTakeTwo(Transaction transaction, ulong near, out ulong first, out ulong second)
    {
        (first, second) = (0, 0);
        if (!volume.TryTake(transaction, near, 2, out BlockRun run)) return false;
        (first, second) = (run.First, run.First + 1);
        if (run.Count == 2) return true;
        if (volume.TryTake(transaction, near, 1, out run))
        {
            second = run.First;
            return true;
        }

        volume.GiveUp(transaction);
        return false;
    }
}
