using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>Looks at a state after its check.</summary>
/// <param name="machine">The image is device 0. What is done to it is undone.</param>
/// <param name="tick">When the power went.</param>
/// <param name="report">What the format's check found. States with corruption are looked at too.</param>
/// <remarks>Throws <see cref="Checking.InvariantBrokenException"/> when something else is wrong.</remarks>
public delegate void StateInspection(Machine machine, long tick, CheckReport report);

/// <summary>How the crash states of a trace file are explored.</summary>
public sealed record TraceExplorationSettings
{
    /// <summary>What the device promises. A trace file has no memory.</summary>
    public PersistenceModel Model { get; init; } = PersistenceModel.Disk;

    /// <summary>Bytes that the device writes whole: 512 or 4096.</summary>
    public int AtomBytes { get; init; } = 512;

    /// <summary>Explores as if the device ignored every flush: a negative control, in which corruption must be found.</summary>
    public bool IgnoresFlushes { get; init; }

    /// <summary>Leaked space is no fault.</summary>
    public bool AllowsLeaks { get; init; } = true;

    /// <summary>The same seed chooses the same states.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Ends the search.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Ends the search as well.</summary>
    public long MaxDistinctStates { get; init; } = long.MaxValue;

    /// <summary>Ends the search as well, after so many broken states.</summary>
    public int StopAfter { get; init; } = 1;

    /// <summary>Ticks at which something new is owed, ascending: tried with all tiers, and states seen before are judged again.</summary>
    public IReadOnlyList<long> TellingTicks { get; init; } = [];

    /// <summary>Looks at each judged state; null for no further checks.</summary>
    public StateInspection? Inspect { get; init; }
}
