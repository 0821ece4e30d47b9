namespace StoragePlugins.Host.NbdTesting;

/// <summary>Where a test writes.</summary>
internal enum NbdTestWorkload
{
    /// <summary>One block after the other, each once.</summary>
    Append = 0,

    /// <summary>The same over blocks that were written before, outside of the time that is taken.</summary>
    Overwrite,

    /// <summary>Each block once, in an order of chance.</summary>
    Random,
}

/// <summary>What follows each write.</summary>
internal enum NbdTestSync
{
    /// <summary>A flush: durable.</summary>
    Flush = 0,

    /// <summary>A guest barrier: ordered.</summary>
    Barrier,

    /// <summary>Nothing: the write itself is durable when it returns.</summary>
    Fua,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>What a test does: the same values give the same writes.</summary>
/// <param name="Workload">Where it writes.</param>
/// <param name="Sync">What follows each write.</param>
/// <param name="Operations">Writes that are timed.</param>
/// <param name="BlockBytes">Bytes of each; a multiple of <see cref="TestStamp.SectorBytes"/>.</param>
/// <param name="FlushEvery">A flush after every so many writes, and at the end; 0 for at the end only.</param>
/// <param name="Seed">Decides the order of <see cref="NbdTestWorkload.Random"/>.</param>
internal sealed record NbdTestPlan(NbdTestWorkload Workload, NbdTestSync Sync, int Operations, int BlockBytes, int FlushEvery, int Seed)
{
    private int[]? _order;

    /// <summary>Bytes from the start of the disk that it writes.</summary>
    public long AreaBytes => (long)Operations * BlockBytes;

    /// <summary>Blocks that are written before the time is taken.</summary>
    public int Prefill => Workload == NbdTestWorkload.Overwrite ? Operations : 0;

    /// <summary>Numbers of writes, from 1; those of the prefill first.</summary>
    public int Writes => Prefill + Operations;

    /// <summary>The block that a write goes to.</summary>
    public int BlockOf(int write)
    {
        int index = write <= Prefill ? write - 1 : write - Prefill - 1;
        return Workload == NbdTestWorkload.Random ? (_order ??= Shuffled())[index] : index;
    }

    /// <summary>How many barriers, flushes or durable writes came before a write: none of an epoch may be there when anything of an earlier one is missing.</summary>
    public int EpochOf(int write)
    {
        if (write <= Prefill) return 0;
        int index = write - Prefill - 1, before = Prefill > 0 ? 1 : 0;
        if (Sync != NbdTestSync.None) return before + index;
        return before + (FlushEvery == 0 ? 0 : index / FlushEvery);
    }

    private int[] Shuffled()
    {
        int[] order = [.. Enumerable.Range(0, Operations)];
        new Random(Seed).Shuffle(order);
        return order;
    }
}
