using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Files;

/// <summary>Where the blocks of a file are: sixteen in the inode, the others in a tree of blocks of 512 block numbers.</summary>
internal sealed class BlockMap(Volume volume)
{
    private readonly PmRegion _region = volume.Region;

    /// <summary>The run that starts with a block of the file.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="index">The block's index in the file.</param>
    /// <param name="most">No more blocks than that are of interest.</param>
    /// <returns>The first block, 0 for a hole, and how many follow each other. A run may go on behind its end.</returns>
    public BlockRun Find(in InodeRecord inode, long index, long most)
    {
        if (index < PmLayout.DirectBlocks) return Judged(RunIn(((ReadOnlySpan<ulong>)inode.Direct)[(int)index..], most));
        if (inode.Root == 0 || index >> (PmLayout.FanOutShift * inode.Height) != 0) return new BlockRun(0, most);
        if (inode.Height > PmLayout.MostHeight) throw _region.Damaged($"a block map is {inode.Height} levels high");
        ulong node = _region.Checked(inode.Root);
        for (int level = inode.Height - 1; level > 0; level--)
        {
            ulong next = _region.Pointers(node)[SlotOf(index, level)];
            if (next == 0)
            {
                long below = 1L << (PmLayout.FanOutShift * level);
                return new BlockRun(0, Math.Min(most, below - (index & (below - 1))));
            }

            node = _region.Checked(next);
        }

        return Judged(RunIn(_region.Pointers(node)[SlotOf(index, 0)..], most));
    }

    /// <summary>Maps a run of new blocks into a hole.</summary>
    /// <param name="transaction">Gets the changes, and blocks that the map itself needs.</param>
    /// <param name="inode">The transaction's copy.</param>
    /// <param name="path">The way to the last block that was mapped in this transaction; indexes only grow in it.</param>
    /// <param name="index">The first block's index in the file.</param>
    /// <param name="run">The blocks.</param>
    /// <returns>False when there is no block left for the map: the transaction is to be given up.</returns>
    public bool TryMap(Transaction transaction, ref InodeRecord inode, ref MapPath path, long index, BlockRun run)
    {
        (ulong block, long left) = (run.First, run.Count);
        for (; left > 0 && index < PmLayout.DirectBlocks; left--) inode.Direct[(int)index++] = block++;
        while (left > 0)
        {
            if (!TryFindLeaf(transaction, ref inode, ref path, index, run.First, out ulong leaf)) return false;
            int slot = SlotOf(index, 0);
            int count = (int)Math.Min(left, PmLayout.FanOut - slot);
            transaction.Ascend(PmLayout.PlaceOf(leaf, slot), count, block);
            index += count;
            block += (ulong)count;
            left -= count;
        }

        inode.Blocks += run.Count;
        return true;
    }

    /// <summary>Takes blocks out of a file and gives them back. The inode is locked.</summary>
    /// <remarks>A transaction for each leaf of the map, from the end on; the last one takes the blocks that the inode names itself with it. So a hole within one leaf
    /// comes as a whole.</remarks>
    /// <param name="number">The inode.</param>
    /// <param name="from">First block's index.</param>
    /// <param name="to">The index behind the last.</param>
    /// <param name="time">What each transaction sets the times of change to; 0 to let them be.</param>
    public void Unmap(uint number, long from, long to, long time = 0)
    {
        Span<ulong> nodes = stackalloc ulong[PmLayout.MostHeight];
        (long end, bool isMore) = (to, true);
        while (isMore)
        {
            Transaction transaction = volume.Journal.Begin();
            ref InodeRecord inode = ref transaction.Edit(number);
            isMore = false;
            if (TryFindLastLeaf(inode, from, to, nodes, out long first))
            {
                // What is dropped is still there at home, but behind what is looked for next.
                UnmapInLeaf(transaction, ref inode, nodes, first >> PmLayout.FanOutShift, SlotWithin(Math.Max(from, PmLayout.DirectBlocks), first), SlotWithin(to, first));
                to = first;
                isMore = inode.Root != 0 && TryFindLastLeaf(inode, from, to, nodes, out _);
            }

            if (!isMore && from < PmLayout.DirectBlocks) FreeDirect(transaction, ref inode, (int)from, (int)Math.Min(end, PmLayout.DirectBlocks));
            if (time != 0) inode.ModificationTime = inode.ChangeTime = time;
            volume.Commit(transaction);
        }
    }

    /// <summary>Takes the blocks named by the inode itself out of it.</summary>
    public void FreeDirect(Transaction transaction, ref InodeRecord inode, int from, int to)
    {
        for (int i = from; i < to;)
        {
            BlockRun run = Judged(RunIn(((ReadOnlySpan<ulong>)inode.Direct)[i..to], to - i));
            if (run.First != 0)
            {
                transaction.Free(run);
                inode.Blocks -= run.Count;
            }

            ((Span<ulong>)inode.Direct).Slice(i, (int)run.Count).Clear();
            i += (int)run.Count;
        }
    }

    private void UnmapInLeaf(Transaction transaction, ref InodeRecord inode, ReadOnlySpan<ulong> nodes, long leafIndex, int from, int to)
    {
        ReadOnlySpan<ulong> slots = _region.Pointers(nodes[0]);
        for (int slot = from; slot < to;)
        {
            BlockRun run = Judged(RunIn(slots[slot..to], to - slot));
            if (run.First != 0)
            {
                transaction.Free(run);
                inode.Blocks -= run.Count;
            }

            slot += (int)run.Count;
        }

        if (!IsZero(slots[..from]) || !IsZero(slots[to..]))
        {
            transaction.Fill(PmLayout.PlaceOf(nodes[0], from), to - from, 0);
            return;
        }

        // The leaf is empty, and whatever was there for its sake alone.
        for (int level = 0; ; level++)
        {
            transaction.FreeLater(nodes[level]);
            inode.Blocks--;
            if (level + 1 == inode.Height)
            {
                (inode.Root, inode.Height) = (0, 0);
                return;
            }

            int slot = (int)(leafIndex >> (PmLayout.FanOutShift * level)) & (PmLayout.FanOut - 1);
            ReadOnlySpan<ulong> parent = _region.Pointers(nodes[level + 1]);
            if (IsZero(parent[..slot]) && IsZero(parent[(slot + 1)..])) continue;
            transaction.SetWord(PmLayout.PlaceOf(nodes[level + 1], slot), 0);
            return;
        }
    }

    // The last leaf with blocks of a range behind those that the inode names.
    private bool TryFindLastLeaf(in InodeRecord inode, long from, long to, Span<ulong> nodes, out long first)
    {
        first = 0;
        long least = Math.Max(from, PmLayout.DirectBlocks);
        if (inode.Root == 0) return false;
        long last = Math.Min(to - 1, (1L << (PmLayout.FanOutShift * inode.Height)) - 1);
        if (last < least || !TryFindLastLeaf(_region.Checked(inode.Root), inode.Height - 1, last >> PmLayout.FanOutShift, nodes, out long leafIndex)) return false;
        first = leafIndex << PmLayout.FanOutShift;
        return first + PmLayout.FanOut > least;
    }

    // The last leaf that is not behind a place. nodes[0] becomes the leaf, those above it its parents.
    private bool TryFindLastLeaf(ulong node, int level, long last, Span<ulong> nodes, out long leafIndex)
    {
        leafIndex = 0;
        nodes[level] = node;
        if (level == 0) return true;
        ReadOnlySpan<ulong> slots = _region.Pointers(node);
        int shift = PmLayout.FanOutShift * (level - 1);
        for (long slot = last >> shift; slot >= 0; slot--)
        {
            if (slots[(int)slot] == 0) continue;
            long below = slot == last >> shift ? last & ((1L << shift) - 1) : (1L << shift) - 1;
            if (!TryFindLastLeaf(_region.Checked(slots[(int)slot]), level - 1, below, nodes, out leafIndex)) continue;
            leafIndex += slot << shift;
            return true;
        }

        return false;
    }

    private bool TryFindLeaf(Transaction transaction, ref InodeRecord inode, ref MapPath path, long index, ulong goal, out ulong leaf)
    {
        leaf = 0;
        while (inode.Root == 0 || index >> (PmLayout.FanOutShift * inode.Height) != 0)
        {
            if (!TryMakeNode(transaction, ref inode, goal, inode.Root, out ulong root)) return false;
            inode.Root = root;
            inode.Height++;
            path = default;
        }

        ulong node = _region.Checked(inode.Root);
        for (int level = inode.Height - 1; level > 0; level--)
        {
            int slot = SlotOf(index, level);
            ulong next = path.Find(level, index);
            if (next == 0) next = _region.Pointers(node)[slot];
            if (next == 0)
            {
                if (!TryMakeNode(transaction, ref inode, goal, 0, out next)) return false;
                transaction.SetWord(PmLayout.PlaceOf(node, slot), next);
                path.Note(level, index, next);
            }

            node = _region.Checked(next);
        }

        leaf = node;
        return true;
    }

    // Nothing refers to it yet: it can be written in place.
    private bool TryMakeNode(Transaction transaction, ref InodeRecord inode, ulong goal, ulong firstPointer, out ulong node)
    {
        node = 0;
        if (!volume.TryTake(transaction, goal, 1, out BlockRun run)) return false;
        node = run.First;
        long offset = PmLayout.PlaceOf(node);
        if (firstPointer == 0)
        {
            transaction.ZeroInPlace(offset, PmLayout.BlockBytes);
        }
        else
        {
            Span<byte> content = stackalloc byte[PmLayout.BlockBytes];
            content.Clear();
            BitConverter.TryWriteBytes(content, firstPointer);
            transaction.StoreInPlace(offset, content);
        }

        inode.Blocks++;
        return true;
    }

    // A damaged map must not lead to the journal, or to what is not there.
    private BlockRun Judged(BlockRun run)
    {
        if (run.First == 0) return run;
        _region.Checked(run.First);
        _region.Checked(run.First + (ulong)run.Count - 1);
        return run;
    }

    private static BlockRun RunIn(ReadOnlySpan<ulong> slots, long most)
    {
        if (most < slots.Length) slots = slots[..(int)most];
        ulong first = slots[0];
        int count = 1;
        if (first == 0)
        {
            count = slots.IndexOfAnyExcept(0UL);
            return new BlockRun(0, count < 0 ? slots.Length : count);
        }

        while (count < slots.Length && slots[count] == first + (ulong)count) count++;
        return new BlockRun(first, count);
    }

    private static bool IsZero(ReadOnlySpan<ulong> slots) => slots.IndexOfAnyExcept(0UL) < 0;

    private static int SlotOf(long index, int level) => (int)(index >> (PmLayout.FanOutShift * level)) & (PmLayout.FanOut - 1);

    private static int SlotWithin(long index, long first) => (int)Math.Clamp(index - first, 0, PmLayout.FanOut);
}

/// <summary>Nodes that the present transaction added to a map: home does not refer to them yet.</summary>
internal struct MapPath
{
    private Levels _nodes;
    private Levels _places;

    /// <summary>The node below a level on the way to a block, if this transaction made it; 0 otherwise.</summary>
    public readonly ulong Find(int level, long index) => _nodes[level] != 0 && _places[level] == (ulong)(index >> (PmLayout.FanOutShift * level)) ? _nodes[level] : 0;

    public void Note(int level, long index, ulong node)
    {
        _nodes[level] = node;
        _places[level] = (ulong)(index >> (PmLayout.FanOutShift * level));
    }

    [System.Runtime.CompilerServices.InlineArray(PmLayout.MostHeight + 1)]
    private struct Levels
    {
        private ulong _first;
    }
}
