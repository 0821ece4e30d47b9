using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Models;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>How a crash test is run.</summary>
public sealed record CrashTestSettings
{
    /// <summary>What a power cut may leave.</summary>
    public PersistenceModel Model { get; init; }

    /// <summary>The same seed gives the same workloads in the same order.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Ends the run.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Ends the run as well, when so many distinct states were seen.</summary>
    public long MaxDistinctStates { get; init; } = long.MaxValue;

    /// <summary>Ends the run as well, after so many workloads.</summary>
    public long MaxWorkloads { get; init; } = long.MaxValue;

    /// <summary>The number of the first workload: to look at one again.</summary>
    public long FirstWorkload { get; init; }

    /// <summary>Workloads explored at once.</summary>
    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>Ends the run as well, after so many failures.</summary>
    public int StopAfter { get; init; } = 1;

    /// <summary>One workload in so many meets devices that err as well: it takes as long as several others. 0 for none.</summary>
    public int FaultsEvery { get; init; } = 16;

    /// <summary>A failure of a tree of files is made small where it was found; those of disks are by their <see cref="Stories.Shrinker"/>, when they are told.</summary>
    public bool ShrinksTrees { get; init; } = true;

    /// <summary>A second opinion; null for none.</summary>
    public IForeignReader? Foreign { get; init; }

    /// <summary>A state takes longer: the strategy hangs.</summary>
    public TimeSpan StateTimeout { get; init; } = TimeSpan.FromSeconds(30);
}
