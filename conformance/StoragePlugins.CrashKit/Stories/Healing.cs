using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>What would have kept a failure from happening.</summary>
public enum HealingKind
{
    /// <summary>No flush anywhere would have.</summary>
    Nothing = 0,

    /// <summary>A barrier: the device keeps order.</summary>
    Barrier,

    /// <summary>A flush of the device's volatile cache.</summary>
    Flush,

    /// <summary>A store fence.</summary>
    Fence,

    /// <summary>Flushes of the cache lines, and a store fence.</summary>
    LineFlush,

    /// <summary>An msync of the mapping.</summary>
    Msync,
}

/// <summary>The place of a missing flush, or why there is none.</summary>
public sealed record Healing
{
    /// <summary>What is missing.</summary>
    public required HealingKind Kind { get; init; }

    /// <summary>The request behind which it is missing; null when nothing is.</summary>
    public TraceEvent? After { get; init; }

    /// <summary>The next request, before which it is missing; null when none followed before the power went.</summary>
    public TraceEvent? Before { get; init; }

    /// <summary>The last request behind which it would do as well; the same as <see cref="After"/> when there is one place only.</summary>
    public TraceEvent? Until { get; init; }

    /// <summary>The requests are those of the recovery, or of the work after it, that the second power cut ended.</summary>
    public bool IsOfSecondCut { get; init; }

    /// <summary>One sentence.</summary>
    public required string Text { get; init; }
}
