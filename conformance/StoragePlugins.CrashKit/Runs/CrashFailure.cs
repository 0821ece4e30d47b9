using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>A state that a strategy does not survive, with all that is needed to look at it again.</summary>
public sealed class CrashFailure
{
    internal CrashFailure(TestedPipeline pipeline, long workloadIndex, Workload workload, WorkloadRun run, ExplorerSettings settings, BrokenState? state)
    {
        (Pipeline, WorkloadIndex, Workload, Run, Settings, State) = (pipeline, workloadIndex, workload, run, settings, state);
    }

    /// <summary>The composition that failed.</summary>
    public TestedPipeline Pipeline { get; }

    /// <summary>The workload's number in the plan.</summary>
    public long WorkloadIndex { get; }

    /// <summary>What the guest did.</summary>
    public Workload Workload { get; }

    /// <summary>What does not hold.</summary>
    public Invariant Invariant => State?.Invariant ?? Run.Problem!.Invariant;

    /// <summary>By which tier it was found; <see cref="Tier.Live"/> when no power cut was needed.</summary>
    public Tier Tier => State?.Tier ?? Tier.Live;

    /// <summary>How it was seen.</summary>
    public string Message => State is { Problem: InvariantBrokenException broken } ? broken.Message
        : State is { Problem: { } problem } ? $"{problem.GetType().Name}: {problem.Message}" : Run.Problem!.Message;

    /// <summary>The failure in lines of text.</summary>
    public IReadOnlyList<string> Describe() =>
    [
        $"{Pipeline.Name} breaks {Invariant.Number()}: {Invariant.Meaning()}",
        $"  {Message}",
        $"  found by {Tier.ToString().ToLowerInvariant()} in workload {WorkloadIndex} ({Workload.Origin}), variant {Pipeline.Variant}",
        .. Run.History.Operations.Select(operation => $"  {operation.Number,3}  {operation.Operation}{(operation.Outcome is { } outcome ? $" ({outcome})" : "")}"),
    ];

    internal WorkloadRun Run { get; }

    internal ExplorerSettings Settings { get; }

    internal BrokenState? State { get; }
}
