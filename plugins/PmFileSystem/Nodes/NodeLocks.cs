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
internal sealed class SharedLock
{
    private const int Writing = 1 << 31;
    private const int Wanted = 1 << 30;

    private int _state;

    public void EnterRead()
    {
        var spin = new SpinWait();
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if ((state & (Writing | Wanted)) == 0 && Interlocked.CompareExchange(ref _state, state + 1, state) == state) return;
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    public void ExitRead() => Interlocked.Decrement(ref _state);

    public void EnterWrite()
    {
        var spin = new SpinWait();
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if ((state & ~Wanted) == 0)
            {
                if (Interlocked.CompareExchange(ref _state, Writing, state) == state) return;
            }
            else if ((state & Wanted) == 0)
            {
                // Readers that come later wait, or a writer might wait for ever.
                Interlocked.CompareExchange(ref _state, state | Wanted, state);
            }

            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    public void ExitWrite() => Interlocked.And(ref _state, ~Writing);
}
