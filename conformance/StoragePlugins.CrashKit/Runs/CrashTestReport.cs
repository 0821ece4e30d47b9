using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>Where a crash test stands, or how it ended.</summary>
public sealed record CrashTestReport
{
    public required string Pipeline { get; init; }

    /// <summary>The options that were varied, one text a variant.</summary>
    public required IReadOnlyList<string> Variants { get; init; }

    public required PersistenceModel Model { get; init; }

    public required int Seed { get; init; }

    /// <summary>States chosen, those judged before included.</summary>
    public required long States { get; init; }

    /// <summary>Different contents of the devices.</summary>
    public required long DistinctStates { get; init; }

    /// <summary>States recovered and checked: distinct in content or in what was owed.</summary>
    public required long JudgedStates { get; init; }

    /// <summary>Judged states by the tier that chose them.</summary>
    public required IReadOnlyDictionary<Tier, long> ByTier { get; init; }

    /// <summary>What became of the faults of devices, by kind.</summary>
    public required IReadOnlyList<FaultCount> Faults { get; init; }

    public required long Workloads { get; init; }

    /// <summary>Entries in the traces of all workloads.</summary>
    public required long TraceEvents { get; init; }

    public required TimeSpan Elapsed { get; init; }

    /// <summary>What is wrong; empty when nothing was found.</summary>
    public required IReadOnlyList<CrashFailure> Failures { get; init; }

    /// <summary>What is wrong with a tree of files; empty for disks.</summary>
    public IReadOnlyList<TreeFailure> TreeFailures { get; init; } = [];

    /// <summary>Failures of both kinds.</summary>
    public int FailureCount => Failures.Count + TreeFailures.Count;

    /// <summary>Judged states a second.</summary>
    public double StatesPerSecond => Elapsed > TimeSpan.Zero ? JudgedStates / Elapsed.TotalSeconds : 0;
}
