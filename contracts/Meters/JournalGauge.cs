using System.Diagnostics;

namespace StoragePlugins;

/// <summary>
/// How full a journal's log is and how much a recovery would have to replay. The journal sets it (<see cref="StorageMeter.Journal"/> of its
/// <see cref="StrategyContext"/>) after each commit and after whatever else moves the log's tail; hosts show it.
/// </summary>
/// <remarks>
/// <para>A journal without a log of its own (one that only orders writes) leaves it alone: then all is zero, and hosts show no journal.</para>
/// <para>Thread-safe and lock-free; setting costs four stores. Each figure is exact; together they are of about the same moment.</para>
/// </remarks>
public sealed class JournalGauge
{
    private long _capacityBytes, _usedBytes, _pendingTransactions, _oldestPendingSince;

    /// <summary>Says how it stands.</summary>
    /// <param name="capacityBytes">Bytes of the log, for records. Above 0.</param>
    /// <param name="usedBytes">Of these, what cannot be written over yet: records that a recovery may need, and what was skipped between them.</param>
    /// <param name="pendingTransactions">Committed transactions that a recovery would replay now: what they changed is not durable in its place yet.</param>
    /// <param name="oldestPendingSince">When the oldest of these was committed, in ticks of <see cref="Stopwatch.GetTimestamp"/>; anything where there is none.</param>
    public void Set(long capacityBytes, long usedBytes, long pendingTransactions, long oldestPendingSince)
    {
        // A reader that sees a transaction sees a time with it.
        Volatile.Write(ref _oldestPendingSince, oldestPendingSince);
        Volatile.Write(ref _pendingTransactions, pendingTransactions);
        Volatile.Write(ref _usedBytes, usedBytes);
        Volatile.Write(ref _capacityBytes, capacityBytes);
    }

    /// <summary>The journal is closed: there is none any more. For the end of its session.</summary>
    public void Clear() => Set(0, 0, 0, 0);

    /// <summary>How it stands now.</summary>
    public JournalReading Read()
    {
        long capacity = Volatile.Read(ref _capacityBytes), used = Volatile.Read(ref _usedBytes), pending = Volatile.Read(ref _pendingTransactions);
        return new JournalReading(capacity, used, pending, pending == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(Volatile.Read(ref _oldestPendingSince)));
    }
}

/// <summary>A reading of a <see cref="JournalGauge"/>.</summary>
/// <param name="CapacityBytes">Bytes of the log; 0 where there is no journal that keeps one.</param>
/// <param name="UsedBytes">Bytes of it that cannot be written over yet.</param>
/// <param name="PendingTransactions">Committed transactions that a recovery would replay.</param>
/// <param name="OldestPending">Time since the oldest of these was committed; zero where there is none.</param>
public readonly record struct JournalReading(long CapacityBytes, long UsedBytes, long PendingTransactions, TimeSpan OldestPending)
{
    /// <summary>Whether there is a log.</summary>
    public bool IsPresent => CapacityBytes > 0;
}
