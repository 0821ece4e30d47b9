using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Nodes;

/// <summary>
/// Readers and writers of inodes. A fixed number of locks, shared by the inodes whose numbers agree in the low bits: bounded memory, and no lookup.
/// </summary>
/// <remarks>Not recursive. Several inodes are locked at once through <see cref="Write(ReadOnlySpan{uint})"/>, never one after the other.</remarks>
internal sealed class NodeLocks
{
    private const int Stripes = 1024;

    private readonly SharedLock[] _stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new SharedLock())];

    public ReadHold Read(uint inode)
    {
        SharedLock stripe = _stripes[inode & (Stripes - 1)];
        stripe.EnterRead();
        return new ReadHold(stripe);
    }

    public WriteHold Write(uint inode)
    {
        SharedLock stripe = _stripes[inode & (Stripes - 1)];
        stripe.EnterWrite();
        return new WriteHold(this, 1L << 48 | (inode & (Stripes - 1)));
    }

    /// <summary>Locks up to four inodes, in an order that all callers share. 0 stands for none.</summary>
    public WriteHold Write(ReadOnlySpan<uint> inodes)
    {
        Span<int> stripes = stackalloc int[4];
        int count = 0;
        foreach (uint inode in inodes)
        {
            int stripe = (int)(inode & (Stripes - 1));
            if (inode != 0 && !stripes[..count].Contains(stripe)) stripes[count++] = stripe;
        }

        stripes[..count].Sort();
        long packed = 0;
        for (int i = count - 1; i >= 0; i--) packed = (packed << 12) | (long)stripes[i];
        for (int i = 0; i < count; i++) _stripes[stripes[i]].EnterWrite();
        return new WriteHold(this, ((long)count << 48) | packed);
    }

    private void Exit(long packed)
    {
        for (int count = (int)(packed >> 48); count > 0; count--, packed >>= 12) _stripes[packed & (Stripes - 1)].ExitWrite();
    }

    public readonly ref struct ReadHold(SharedLock stripe)
    {
        public void Dispose() => stripe.ExitRead();
    }

    /// <summary>Up to four stripes, 12 bits each, and their number from bit 48 on.</summary>
    public readonly ref struct WriteHold(NodeLocks locks, long packed)
    {
        public void Dispose() => locks.Exit(packed);
    }
}

/// <summary>A lock for many readers or one writer; some nanoseconds when it is free. Who waits spins and then yields: what is held meanwhile is memory speed.</summary>
/// <remarks>A writer leaves by a plain store. A locked instruction would wait until all of its stores past the cache have left the CPU, although the fence before has
/// already put them in order with whatever comes after; so the next operation's work is done meanwhile.</remarks>
/// <param name="sleepAfter">Rounds of spinning and yielding after which who waits sleeps a millisecond at a time; −1 for never.</param>
internal sealed class SharedLock(int sleepAfter = -1)
{
    private const int Writing = 1 << 31;

    // Readers, or Writing. While it is Writing nobody but the writer changes it.
    private int _state;

    // A writer waits: readers that come later wait too, or it might wait for ever. Every writer that sets it clears it when it has entered.
    private bool _isWanted;

    public void EnterRead()
    {
        var spin = new SpinWait();
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state != Writing && !Volatile.Read(ref _isWanted) && Interlocked.CompareExchange(ref _state, state + 1, state) == state) return;
            spin.SpinOnce(sleepAfter);
        }
    }

    public void ExitRead() => Interlocked.Decrement(ref _state);

    public void EnterWrite()
    {
        if (Interlocked.CompareExchange(ref _state, Writing, 0) == 0) return;
        var spin = new SpinWait();
        do
        {
            Volatile.Write(ref _isWanted, true);
            spin.SpinOnce(sleepAfter);
        }
        while (Interlocked.CompareExchange(ref _state, Writing, 0) != 0);
        Volatile.Write(ref _isWanted, false);
    }

    public void ExitWrite() => Volatile.Write(ref _state, 0);
}
