namespace StoragePlugins.Qcow2.Metadata;

/// <summary>What guest barriers (<see cref="IBarrierDisk"/>) demand, and when it has to be paid.</summary>
/// <remarks>
/// <para>With a journal that makes transactions atomic, what a guest writes to new clusters is invisible after a crash until a commit maps it, and one commit
/// maps all of it: writes on both sides of a barrier show together or not at all. Such a barrier is only owed. It is paid before the first write that
/// could be seen by itself, one in place, and by every commit, which then sees to it that the data is there before its record
/// (<see cref="PriorContent.Unknown"/>).</para>
/// <para>A barrier after a write in place is paid at once: the commits to come could show what follows it without that write.</para>
/// <para>Threading: any. A write that is under way while a barrier is made falls on either side of it.</para>
/// </remarks>
internal sealed class GuestOrder(bool isAtomic)
{
    /// <summary>Barriers between two flushes that make a guest one that orders by them; a single one says nothing of what comes.</summary>
    private const int BarriersOfAnOrderer = 2;

    private long _owed;
    private long _paid;
    private int _hasVisible;
    private int _barriersSinceFlush;
    private bool _isUsed;

    /// <summary>Barriers were made that no commit has paid yet.</summary>
    public bool IsOwed => Volatile.Read(ref _owed) != Volatile.Read(ref _paid);

    /// <summary>The guest orders by barriers and flushes seldom: what it writes to new clusters costs nothing until it flushes.</summary>
    public bool IsUsed => Volatile.Read(ref _isUsed);

    /// <summary>A write in place returned.</summary>
    public void NoteVisible()
    {
        if (Volatile.Read(ref _hasVisible) == 0) Volatile.Write(ref _hasVisible, 1);
    }

    /// <summary>The guest flushes; with hardly a barrier since it last did, it does not order by them any more.</summary>
    public void NoteFlush()
    {
        if (Interlocked.Exchange(ref _barriersSinceFlush, 0) < BarriersOfAnOrderer) Volatile.Write(ref _isUsed, false);
    }

    /// <summary>Puts a barrier off.</summary>
    /// <returns>False when it has to be paid now.</returns>
    public bool TryOwe()
    {
        if (Interlocked.Increment(ref _barriersSinceFlush) == BarriersOfAnOrderer) Volatile.Write(ref _isUsed, true);
        if (!isAtomic) return false;
        if (Volatile.Read(ref _hasVisible) != 0) return false;
        Interlocked.Increment(ref _owed);
        return true;
    }

    /// <summary>A commit begins: it pays what is owed by now. One at a time, before the transaction is gathered.</summary>
    public OrderDebt Take()
    {
        // A write in place that returns from here on is the next commit's: this one's sync may have come too early for it.
        bool hadVisible = Interlocked.Exchange(ref _hasVisible, 0) != 0;
        long owed = Volatile.Read(ref _owed);
        return new OrderDebt(owed, owed != Volatile.Read(ref _paid), hadVisible);
    }

    /// <summary>The commit ended.</summary>
    public void End(OrderDebt debt, bool failed)
    {
        if (!failed) Volatile.Write(ref _paid, debt.Owed);
        else if (debt.HadVisible) NoteVisible();
    }
}

/// <summary>What one commit pays.</summary>
/// <param name="Owed">Barriers so far.</param>
/// <param name="IsOwed">Some of them are not paid yet.</param>
/// <param name="HadVisible">Writes in place had returned.</param>
internal readonly record struct OrderDebt(long Owed, bool IsOwed, bool HadVisible);
