using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>How an exploration of a trace ended.</summary>
public sealed record TraceExplorationReport
{
    /// <summary>Events of the trace.</summary>
    public required int Events { get; init; }

    /// <summary>Flushes among them.</summary>
    public required int Flushes { get; init; }

    /// <summary>States chosen, those judged before included.</summary>
    public required long States { get; init; }

    /// <summary>Different contents of the device.</summary>
    public required long DistinctStates { get; init; }

    /// <summary>States checked: distinct in content or in what was owed.</summary>
    public required long JudgedStates { get; init; }

    /// <summary>Judged states in which the check found nothing.</summary>
    public required long CleanStates { get; init; }

    /// <summary>Judged states in which it found leaks and nothing worse.</summary>
    public required long LeakingStates { get; init; }

    /// <summary>Judged states by the tier that chose them.</summary>
    public required IReadOnlyDictionary<Tier, long> ByTier { get; init; }

    public required TimeSpan Elapsed { get; init; }

    /// <summary>States in which something is wrong; empty when nothing was found.</summary>
    public required IReadOnlyList<BrokenTraceState> Broken { get; init; }

    /// <summary>Judged states a second.</summary>
    public double StatesPerSecond => Elapsed > TimeSpan.Zero ? JudgedStates / Elapsed.TotalSeconds : 0;
}

/// <summary>A state of a trace in which something is wrong.</summary>
/// <param name="Tick">When the power went.</param>
/// <param name="After">The last event that had begun by then.</param>
/// <param name="Tier">The rule that chose it.</param>
/// <param name="Invariant">What does not hold.</param>
/// <param name="Problem">How it was seen.</param>
/// <param name="Lost">Events of which something was lost, oldest first; at most <see cref="MaxEvents"/>.</param>
/// <param name="Kept">Events that were not durable and of which something was there all the same; at most <see cref="MaxEvents"/>.</param>
public sealed record BrokenTraceState(long Tick, string After, Tier Tier, Invariant Invariant, string Problem, IReadOnlyList<string> Lost, IReadOnlyList<string> Kept)
{
    /// <summary>The most events that are named: what one screen shows.</summary>
    public const int MaxEvents = 20;
}
