using System.Diagnostics;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>Leaves operations out of a workload as long as it fails the same way.</summary>
internal static class TreeShrinker
{
    /// <summary>A story that comes late is no use either.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(15);

    /// <summary>Tries first large, then small parts.</summary>
    public static TreeFailure Shrink(TreeFailure failure)
    {
        var clock = Stopwatch.StartNew();
        TreeFailure smallest = failure;
        for (int part = Math.Max(1, failure.Workload.Operations.Count / 2); part >= 1 && clock.Elapsed < Longest; part /= 2)
        {
            for (int at = smallest.Workload.Operations.Count - part; at >= 0 && clock.Elapsed < Longest; at -= part)
            {
                if (at + part > smallest.Workload.Operations.Count) continue;
                TreeWorkload without = smallest.Workload with
                {
                    Operations = [.. smallest.Workload.Operations.Where((_, i) => i < at || i >= at + part)],
                    QuietOperations = smallest.Workload.QuietOperations - Math.Clamp(smallest.Workload.QuietOperations - at, 0, part),
                };
                if (Fails(smallest with { Workload = without, Run = null, State = null }, failure, Longest - clock.Elapsed) is { } smaller) smallest = smaller;
            }
        }

        return smallest;
    }

    private static TreeFailure? Fails(TreeFailure candidate, TreeFailure original, TimeSpan left)
    {
        using var stop = new CancellationTokenSource(left > TimeSpan.Zero ? left : TimeSpan.FromMilliseconds(1));
        TreeFailure? found = TreeCrashTest.Explore(candidate, new StateLedger(), WorkloadPlan.Seeded(original.Seed, original.WorkloadIndex, salt: 13), stop.Token);
        return found?.Invariant == original.Invariant ? found : null;
    }
}
