namespace StoragePlugins.Tests;

/// <summary>What code allocates on the garbage-collected heap.</summary>
internal static class Allocations
{
    private const int Runs = 5;

    /// <summary>Bytes that an action allocates on the calling thread, the least of several runs: what the runtime allocates for itself, the first time or now and then, is not the action's.</summary>
    public static long Of(Action action)
    {
        long least = long.MaxValue;
        for (int run = 0; run <= Runs; run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
