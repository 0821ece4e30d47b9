namespace StoragePlugins.PmFileSystem;

/// <summary>Time stamps of files: wall-clock time that advances in steps of about a millisecond, as the kernel's coarse clock does, for a few nanoseconds.</summary>
internal sealed class CoarseClock
{
    private const long NanosecondsPerTick = 100;

    private long _tick = -1;
    private long _now;

    /// <summary>Nanoseconds since 1970, never smaller than a time given before.</summary>
    public long Now()
    {
        long tick = Environment.TickCount64;
        if (tick != Volatile.Read(ref _tick))
        {
            long now = Precise();
            long seen = Volatile.Read(ref _now);
            while (now > seen)
            {
                long before = Interlocked.CompareExchange(ref _now, now, seen);
                if (before == seen) break;
                seen = before;
            }

            Volatile.Write(ref _tick, tick);
        }

        return Volatile.Read(ref _now);
    }

    /// <summary>Nanoseconds since 1970 now.</summary>
    public static long Precise() => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * NanosecondsPerTick;
}
