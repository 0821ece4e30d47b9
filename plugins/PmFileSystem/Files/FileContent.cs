using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Files;

/// <summary>The bytes of regular files. Public calls lock the inode; the others say that it is.</summary>
/// <remarks>
/// A write is: new blocks with their content, where nothing refers to them yet; bytes over mapped blocks, in place; a fence; the record with map, size and
/// times; a fence. So a size never shows bytes that are not there, and a write that only overwrites costs a record when the clock has moved on, else one fence.
/// Bytes in mapped blocks behind the end mean nothing and are zeroed before a size shows them.
/// </remarks>
internal sealed class FileContent(Volume volume)
{
    /// <summary>Blocks mapped behind the end of a file that is appended to: as many as it has, within these bounds.</summary>
    private const long LeastAhead = 16, MostAhead = 2048;

    /// <summary>Of the free space no append takes more than this part ahead.</summary>
    private const int PartAhead = 16;

    private readonly PmRegion _region = volume.Region;

    public BlockMap Map { get; } = new(volume);

    public FileError Read(uint number, long offset, Span<byte> buffer, out int read)
    {
        read = 0;
        using (volume.Locks.Read(number))
        {
            FileError error = Open(number, out InodeRecord inode);
            if (error != FileError.None) return error;
            if (offset < 0) return FileError.InvalidArgument;
            if (offset >= inode.Size) return FileError.None;
            int length = (int)Math.Min(buffer.Length, inode.Size - offset);
            for (int done = 0; done < length;)
            {
                Piece piece = PieceAt(inode, offset + done, offset + length);
                Span<byte> to = buffer.Slice(done, piece.Bytes);
                if (piece.IsHole) to.Clear();
                else _region.View(piece.Place, piece.Bytes).CopyTo(to);
                done += piece.Bytes;
            }

            _region.Memory.ThrowIfLost();
            read = length;
            return FileError.None;
        }
    }

    /// <param name="number">The file.</param>
    /// <param name="offset">First byte; −1 for the end of the file.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="at">Where they were put.</param>
    public FileError Write(uint number, long offset, ReadOnlySpan<byte> data, out long at)
    {
        using (volume.Locks.Write(number))
        {
            at = offset;
            FileError error = Open(number, out InodeRecord before);
            if (error != FileError.None) return error;
            if (volume.IsReadOnly) return FileError.ReadOnly;
            if (offset < 0) at = before.Size;
            if (data.Length == 0) return FileError.None;
            if (at > PmLayout.MostFileBytes - data.Length) return FileError.FileTooLarge;
            Transaction transaction = volume.Journal.Begin();
            long end = at + data.Length;
            if (PieceAt(before, at, end) is { IsHole: false } whole && whole.Bytes == data.Length)
            {
                if (at > before.Size) ZeroMapped(transaction, before, before.Size, at);
                transaction.StoreInPlace(whole.Place, data);
            }
            else if (!TryWritePieces(transaction, number, before, at, data))
            {
                return FileError.NoSpace;
            }

            ref InodeRecord inode = ref transaction.Edit(number, before);
            if (end > inode.Size) inode.Size = end;
            inode.ModificationTime = inode.ChangeTime = volume.Clock.Now();
            volume.Commit(transaction);
            return FileError.None;
        }
    }

    private bool TryWritePieces(Transaction transaction, uint number, in InodeRecord before, long at, ReadOnlySpan<byte> data)
    {
        long end = at + data.Length;
        long holes = CountHoles(before, at, end);
        if (holes > 0 && !TryFillHoles(transaction, number, before, at, data.Length, data, holes)) return false;
        if (at > before.Size) ZeroMapped(transaction, before, before.Size, at);
        if (holes <= (end - 1 >> PmLayout.BlockShift) - (at >> PmLayout.BlockShift)) Overwrite(transaction, before, at, data);
        return true;
    }

    /// <summary>Makes a file ready for another size, which the transaction is to set. The inode is locked.</summary>
    public void PrepareSize(Transaction transaction, in InodeRecord inode, long size)
    {
        if (size > inode.Size) ZeroMapped(transaction, inode, inode.Size, size);
    }

    /// <summary>Gives back what is mapped behind the end. The inode is locked.</summary>
    public void Trim(uint number)
    {
        _region.ReadInode(number, out InodeRecord inode);
        Map.Unmap(number, BlocksOf(inode.Size), long.MaxValue);
    }

    public FileError Allocate(uint number, AllocationMode mode, long offset, long length)
    {
        if (offset < 0 || length <= 0) return FileError.InvalidArgument;
        if (offset > PmLayout.MostFileBytes - length) return FileError.FileTooLarge;
        using (volume.Locks.Write(number))
        {
            FileError error = Open(number, out InodeRecord inode);
            if (error != FileError.None) return error;
            if (volume.IsReadOnly) return FileError.ReadOnly;
            switch (mode)
            {
                case AllocationMode.Grow or AllocationMode.KeepSize:
                    return Reserve(number, inode, offset, offset + length, mode == AllocationMode.Grow);
                case AllocationMode.PunchHole or AllocationMode.ZeroRange:
                    Erase(number, inode, offset, Math.Min(offset + length, BlocksOf(inode.Size) << PmLayout.BlockShift), mode == AllocationMode.PunchHole);
                    return FileError.None;
                default:
                    return FileError.NotSupported;
            }
        }
    }

    public FileError Seek(uint number, long offset, bool forHole, out long found)
    {
        found = offset;
        using (volume.Locks.Read(number))
        {
            FileError error = Open(number, out InodeRecord inode);
            if (error != FileError.None) return error;
            if (offset < 0 || offset >= inode.Size) return FileError.NoData;
            while (found < inode.Size)
            {
                Piece piece = PieceAt(inode, found, inode.Size);
                if (piece.IsHole == forHole) return FileError.None;
                found += piece.Bytes;
            }

            found = inode.Size;
            return forHole ? FileError.None : FileError.NoData;
        }
    }

    private FileError Open(uint number, out InodeRecord inode)
    {
        inode = default;
        if (number == 0 || number >= _region.Geometry.Inodes) return FileError.Stale;
        _region.ReadInode(number, out inode);
        return inode.Kind switch
        {
            NodeKind.File => FileError.None,
            NodeKind.Directory => FileError.IsDirectory,
            0 => FileError.Stale,
            _ => FileError.InvalidArgument,
        };
    }

    // What lies at a place of the file, at most to an end.
    private Piece PieceAt(in InodeRecord inode, long position, long end)
    {
        long index = position >> PmLayout.BlockShift;
        int within = (int)position & (PmLayout.BlockBytes - 1);
        BlockRun run = Map.Find(inode, index, BlocksOf(end) - index);
        int bytes = (int)Math.Min(Math.Min((run.Count << PmLayout.BlockShift) - within, end - position), 1 << 30);
        return new Piece(run.First == 0 ? 0 : PmLayout.PlaceOf(run.First) + within, bytes);
    }

    private long CountHoles(in InodeRecord inode, long from, long to)
    {
        long holes = 0;
        for (long index = from >> PmLayout.BlockShift, last = to - 1 >> PmLayout.BlockShift; index <= last;)
        {
            BlockRun run = Map.Find(inode, index, last - index + 1);
            if (run.First == 0) holes += run.Count;
            index += run.Count;
        }

        return holes;
    }

    // New blocks for the holes of a range, with the data that goes there, or zeros where there is none. Nothing that can be seen changes before the last block is
    // found, unless the change takes more than one record.
    private bool TryFillHoles(Transaction transaction, uint number, in InodeRecord before, long offset, long length, ReadOnlySpan<byte> data, long holes)
    {
        if (!volume.HasRoom(holes)) return false;
        ref InodeRecord inode = ref transaction.Edit(number, before);
        MapPath path = default;
        long first = offset >> PmLayout.BlockShift, end = BlocksOf(offset + length);
        ulong goal = first > 0 ? NextTo(before, first - 1) : 0;
        for (long index = first; index < end;)
        {
            BlockRun there = Map.Find(before, index, end - index);
            if (there.First != 0)
            {
                index += there.Count;
                goal = there.First + (ulong)there.Count;
                continue;
            }

            for (long left = there.Count; left > 0;)
            {
                if (!volume.TryTake(transaction, goal, left, out BlockRun run) || !Map.TryMap(transaction, ref inode, ref path, index, run))
                {
                    volume.GiveUp(transaction);
                    return false;
                }

                if (data.IsEmpty) transaction.ZeroInPlace(PmLayout.PlaceOf(run.First), run.Count << PmLayout.BlockShift);
                else FillNew(transaction, before.Size, run, index, offset, data);
                (index, left, goal) = (index + run.Count, left - run.Count, run.First + (ulong)run.Count);
                if (!transaction.IsNearlyFull) continue;
                volume.Commit(transaction);
                inode = ref transaction.Edit(number);
                path = default;
            }
        }

        if (!data.IsEmpty && offset == before.Size && offset > 0) MapAhead(transaction, before, ref inode, ref path, number, end, goal);
        return true;
    }

    // New blocks get their part of the data, and zeros around it where the file shows them.
    private static void FillNew(Transaction transaction, long size, BlockRun run, long index, long offset, ReadOnlySpan<byte> data)
    {
        long start = index << PmLayout.BlockShift, end = start + (run.Count << PmLayout.BlockShift);
        long from = Math.Max(start, offset), to = Math.Min(end, offset + data.Length);
        long place = PmLayout.PlaceOf(run.First);
        if (from > start) transaction.ZeroInPlace(place, from - start);
        transaction.StoreInPlace(place + from - start, data[(int)(from - offset)..(int)(to - offset)]);
        if (to < end && to < size) transaction.ZeroInPlace(place + to - start, end - to);
    }

    // A file that grows at its end goes on growing: its next blocks are mapped with these, where they are free behind them, and given back at the last close.
    private void MapAhead(Transaction transaction, in InodeRecord before, ref InodeRecord inode, ref MapPath path, uint number, long index, ulong goal)
    {
        // Not beyond what the inode, or the same leaf of the map, can name.
        long limit = index <= PmLayout.DirectBlocks ? PmLayout.DirectBlocks - index : -index & (PmLayout.FanOut - 1);
        long want = Math.Min(Math.Min(Math.Clamp(inode.Blocks, LeastAhead, MostAhead), limit), volume.Blocks.KnownFree / PartAhead);
        if (want <= 0 || Map.Find(before, index, want) is not { First: 0 } hole) return;
        want = Math.Min(want, hole.Count);
        if (volume.Blocks.TakeAt(goal, want) is not (> 0 and long count)) return;
        var run = new BlockRun(goal, count);
        transaction.Take(run);
        if (!Map.TryMap(transaction, ref inode, ref path, index, run)) throw new InvalidOperationException("A leaf that is there was looked for in vain.");
        volume.Held.NoteAhead(number);
    }

    // Bytes over mapped blocks, as the map was before: what is new has its content already.
    private void Overwrite(Transaction transaction, in InodeRecord before, long offset, ReadOnlySpan<byte> data)
    {
        for (int done = 0; done < data.Length;)
        {
            Piece piece = PieceAt(before, offset + done, offset + data.Length);
            if (!piece.IsHole) transaction.StoreInPlace(piece.Place, data.Slice(done, piece.Bytes));
            done += piece.Bytes;
        }
    }

    private void ZeroMapped(Transaction transaction, in InodeRecord inode, long from, long to)
    {
        while (from < to)
        {
            Piece piece = PieceAt(inode, from, to);
            if (!piece.IsHole) transaction.ZeroInPlace(piece.Place, piece.Bytes);
            from += piece.Bytes;
        }
    }

    private FileError Reserve(uint number, in InodeRecord before, long from, long to, bool grows)
    {
        Transaction transaction = volume.Journal.Begin();
        if (!TryFillHoles(transaction, number, before, from, to - from, [], CountHoles(before, from, to))) return FileError.NoSpace;
        ref InodeRecord inode = ref transaction.Edit(number, before);
        if (grows && to > inode.Size)
        {
            ZeroMapped(transaction, before, before.Size, to);
            inode.Size = to;
        }

        inode.ModificationTime = inode.ChangeTime = volume.Clock.Now();
        volume.Commit(transaction);
        return FileError.None;
    }

    private void Erase(uint number, in InodeRecord inode, long from, long to, bool unmaps)
    {
        if (from >= to) return;
        Transaction transaction = volume.Journal.Begin();
        long first = BlocksOf(from), last = to >> PmLayout.BlockShift, now = volume.Clock.Now();
        if (unmaps && first < last)
        {
            // The zeros around the hole are durable before it is there.
            ZeroMapped(transaction, inode, from, first << PmLayout.BlockShift);
            ZeroMapped(transaction, inode, last << PmLayout.BlockShift, to);
            volume.Commit(transaction);
            Map.Unmap(number, first, last, now);
            return;
        }

        ZeroMapped(transaction, inode, from, to);
        ref InodeRecord changed = ref transaction.Edit(number);
        changed.ModificationTime = changed.ChangeTime = now;
        volume.Commit(transaction);
    }

    // The place behind a block of the file, 0 where there is none.
    private ulong NextTo(in InodeRecord inode, long index) => Map.Find(inode, index, 1) is { First: > 0 } run ? run.First + 1 : 0;

    private static long BlocksOf(long bytes) => (bytes + PmLayout.BlockBytes - 1) >> PmLayout.BlockShift;

    private readonly record struct Piece(long Place, int Bytes)
    {
        public bool IsHole => Place == 0;
    }
}
