using System.Diagnostics;
using System.Runtime.InteropServices;

namespace StoragePlugins.SimulatedMedia;

/// <summary>The time of a device that does one thing after the other: an operation begins when the one before it has ended.</summary>
/// <remarks>Thread-safe. A caller waits for the end of its own operation.</remarks>
internal sealed partial class DeviceClock
{
    // The kernel wakes a sleeper up to 50 µs late (its timer slack); with what it takes to run again this is enough to wake in time.
    private static readonly long s_spinTicks = Stopwatch.Frequency / 10_000;

    // Stopwatch ticks.
    private long _busyUntil;

    /// <summary>Occupies the device for a time and waits until it has passed, to within a few microseconds.</summary>
    public void Spend(TimeSpan time)
    {
        if (time <= TimeSpan.Zero) return;
        long ticks = (long)(time.TotalSeconds * Stopwatch.Frequency);
        long seen, end;
        do
        {
            seen = Volatile.Read(ref _busyUntil);
            end = Math.Max(seen, Stopwatch.GetTimestamp()) + ticks;
        }
        while (Interlocked.CompareExchange(ref _busyUntil, end, seen) != seen);
        WaitUntil(end);
    }

    private static void WaitUntil(long end)
    {
        while (true)
        {
            long left = end - Stopwatch.GetTimestamp();
            if (left <= 0) return;
            if (left > s_spinTicks) Sleep(left - s_spinTicks);
            else Thread.SpinWait(16);
        }
    }

    // Thread.Sleep knows milliseconds only. An early return (a signal) is taken up by the caller's loop.
    private static void Sleep(long ticks)
    {
        (long seconds, long rest) = Math.DivRem(ticks, Stopwatch.Frequency);
        var time = new TimeSpec { Seconds = seconds, Nanoseconds = (long)(rest * (1e9 / Stopwatch.Frequency)) };
        _ = NanoSleep(in time, 0);
    }

    [LibraryImport("libc", EntryPoint = "nanosleep")]
    private static partial int NanoSleep(in TimeSpec time, nint remaining);

    /// <summary>struct timespec of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
