using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Space;

/// <summary>A run of blocks.</summary>
/// <param name="First">Its first block.</param>
/// <param name="Count">How many.</param>
internal readonly record struct BlockRun(ulong First, long Count);

/// <summary>
/// Who may take which block: in memory, ahead of the bitmap on the medium, which follows with each transaction.
/// </summary>
/// <remarks>
/// <para>Thread-safe; a lock a group of 128 MiB, read when it is first needed, so that writers far from each other do not meet. A bit a block.</para>
/// <para>A block that held a map or a directory may be named by records that still matter; a replay would put their words over whatever the block holds by then.
/// So it waits (<see cref="GiveBackLater"/>) until the journal has been emptied.</para>
/// </remarks>
internal sealed class BlockAllocator
{
    private const int GroupBlocks = 32768;

    /// <summary>Runs looked at in a group before the longest seen is taken.</summary>
    private const int RunsConsidered = 64;

    private readonly PmRegion _region;
    private readonly ulong[] _words;
    private readonly BitMap _taken;
    private readonly Group[] _groups;
    private readonly Lock _waitingGate = new();
    private List<ulong> _waiting = [];
    private long _free;
    private int _notLoaded;

    public BlockAllocator(PmRegion region)
    {
        Geometry geometry = region.Geometry;
        _region = region;
        _words = new ulong[Geometry.BitmapBytes(geometry.Blocks) / sizeof(ulong)];
        _taken = new BitMap(_words);
        _groups = [.. Enumerable.Range(0, (int)((geometry.Blocks + GroupBlocks - 1) / GroupBlocks)).Select(i => new Group((long)i * GroupBlocks, (i + 1L) * GroupBlocks))];
        _notLoaded = _groups.Length;
        Total = geometry.EndOfData - geometry.FirstDataBlock;
    }

    /// <summary>Blocks for data.</summary>
    public long Total { get; }

    /// <summary>Free blocks of the groups that are known; those that wait not counted.</summary>
    public long KnownFree => Volatile.Read(ref _free);

    /// <summary>Blocks that can be taken, those that wait not counted. Looks at all groups.</summary>
    public long Free
    {
        get
        {
            for (int i = 0; Volatile.Read(ref _notLoaded) > 0 && i < _groups.Length; i++) Load(_groups[i]);
            return KnownFree;
        }
    }

    /// <summary>Whether so many blocks can be taken.</summary>
    public bool HasFree(long blocks) => KnownFree >= blocks || Free >= blocks;

    /// <summary>Gets to know the groups of some blocks. To be called before a change of their bits on the medium is committed: afterwards a group that is
    /// read for the first time would show them free before they are given back here.</summary>
    public void Know(BlockRun run)
    {
        for (long group = (long)run.First / GroupBlocks; group <= ((long)run.First + run.Count - 1) / GroupBlocks; group++) Load(_groups[group]);
    }

    /// <summary>Blocks wait for the journal to be emptied.</summary>
    public bool AnyWaiting
    {
        get
        {
            lock (_waitingGate) return _waiting.Count > 0;
        }
    }

    /// <summary>Takes a run of up to so many blocks: behind the goal where that is free, else the best that is near.</summary>
    /// <param name="goal">Where it would be best; 0 for anywhere.</param>
    /// <param name="want">1 or more.</param>
    /// <param name="run">What was taken: at least one block.</param>
    public bool TryTake(ulong goal, long want, out BlockRun run)
    {
        int start = goal == 0 ? Environment.CurrentManagedThreadId % _groups.Length : (int)((long)goal / GroupBlocks % _groups.Length);
        for (int i = 0; i < _groups.Length; i++)
        {
            Group group = _groups[(start + i) % _groups.Length];
            Load(group);
            if (Volatile.Read(ref group.Free) == 0) continue;
            lock (group.Gate)
            {
                if (TryTakeIn(group, i == 0 ? (long)goal : 0, want, out run)) return true;
            }
        }

        run = default;
        return false;
    }

    /// <summary>Takes the blocks from a place on, as many as are free there.</summary>
    /// <returns>How many: 0 when the first is taken.</returns>
    public long TakeAt(ulong first, long want)
    {
        if (first >= (ulong)_taken.Length) return 0;
        Group group = _groups[(long)first / GroupBlocks];
        Load(group);
        lock (group.Gate)
        {
            long count = _taken.Find(true, (long)first, Math.Min(group.End, (long)first + want)) - (long)first;
            if (count > 0) Take(group, (long)first, count);
            return count;
        }
    }

    /// <summary>Gives back what was never, or is no longer, named by a transaction that counts.</summary>
    public void GiveBack(BlockRun run)
    {
        for (long first = (long)run.First, end = first + run.Count; first < end;)
        {
            Group group = _groups[first / GroupBlocks];
            long next = Math.Min(end, group.End);
            Load(group);
            lock (group.Gate)
            {
                _taken.Set(first, next - first, false);
                group.Free += next - first;
            }

            Interlocked.Add(ref _free, next - first);
            first = next;
        }
    }

    /// <summary>Gives back a block that held a map or a directory, once the journal has been emptied. Its transaction is committed.</summary>
    public void GiveBackLater(ulong block)
    {
        lock (_waitingGate) _waiting.Add(block);
    }

    /// <summary>The journal has been emptied.</summary>
    public void GiveBackWaiting()
    {
        List<ulong> waiting;
        lock (_waitingGate)
        {
            if (_waiting.Count == 0) return;
            (waiting, _waiting) = (_waiting, []);
        }

        foreach (ulong block in waiting) GiveBack(new BlockRun(block, 1));
    }

    // The bitmap's block of a group is read when it is first needed: an image opens at any size as fast as a small one.
    private void Load(Group group)
    {
        if (group.IsLoaded) return;
        lock (group.Gate)
        {
            if (group.IsLoaded) return;
            Geometry geometry = _region.Geometry;
            ReadOnlySpan<byte> bits = _region.View(geometry.BlockBitmap + (group.First / 8), PmLayout.BlockBytes);
            MemoryMarshal.Cast<byte, ulong>(bits).CopyTo(_words.AsSpan((int)(group.First / 64)));
            // Whatever the bitmap says: only blocks for data are ever handed out.
            if (geometry.FirstDataBlock > group.First) _taken.Set(group.First, Math.Min(geometry.FirstDataBlock, group.End) - group.First, true);
            if (geometry.EndOfData < group.End) _taken.Set(Math.Max(geometry.EndOfData, group.First), group.End - Math.Max(geometry.EndOfData, group.First), true);
            group.Free = _taken.CountZeros(group.First, group.End);
            Interlocked.Add(ref _free, group.Free);
            group.IsLoaded = true;
            Interlocked.Decrement(ref _notLoaded);
        }
    }

    private bool TryTakeIn(Group group, long goal, long want, out BlockRun run)
    {
        run = default;
        if (group.Free == 0) return false;
        long from = goal > group.First && goal < group.End ? goal : group.Cursor;
        (long First, long Count) best = Longest(from, group.End, want);
        if (best.Count < want)
        {
            (long First, long Count) other = Longest(group.First, from, want);
            if (other.Count > best.Count) best = other;
        }

        if (best.Count == 0) return false;
        Take(group, best.First, best.Count);
        group.Cursor = best.First + best.Count < group.End ? best.First + best.Count : group.First;
        run = new BlockRun((ulong)best.First, best.Count);
        return true;
    }

    // The first run that is long enough, or the longest of some.
    private (long First, long Count) Longest(long from, long to, long want)
    {
        (long First, long Count) best = default;
        for (int seen = 0; seen < RunsConsidered && from < to; seen++)
        {
            long first = _taken.Find(false, from, to);
            if (first == to) break;
            long end = _taken.Find(true, first, Math.Min(to, first + want));
            if (end - first > best.Count) best = (first, end - first);
            if (best.Count >= want) break;
            from = end;
        }

        return best;
    }

    private void Take(Group group, long first, long count)
    {
        _taken.Set(first, count, true);
        group.Free -= count;
        Interlocked.Add(ref _free, -count);
    }

    private sealed class Group(long first, long end)
    {
        public long First { get; } = first;

        public long End { get; } = end;

        public Lock Gate { get; } = new();

        public long Cursor { get; set; } = first;

        public volatile bool IsLoaded;

        public long Free;
    }
}
