using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>A state that a strategy does not survive, with all that is needed to look at it again.</summary>
public sealed record CrashFailure
{
    internal CrashFailure(TestedPipeline pipeline, long workloadIndex, Workload workload, ExplorerSettings settings) =>
        (Pipeline, WorkloadIndex, Workload, Settings) = (pipeline, workloadIndex, workload, settings);

    /// <summary>The same with another workload, yet without what came of it.</summary>
    internal CrashFailure Of(Workload workload, ExplorerSettings settings) => new(Pipeline, WorkloadIndex, workload, settings) { Seed = Seed };

    /// <summary>The composition that failed.</summary>
    public TestedPipeline Pipeline { get; }

    /// <summary>The workload's number in the plan.</summary>
    public long WorkloadIndex { get; }

    /// <summary>The run's seed: with the workload's number it gives the same workload again.</summary>
    public int Seed { get; init; }

    /// <summary>What the guest did.</summary>
    public Workload Workload { get; }

    /// <summary>What does not hold.</summary>
    public Invariant Invariant => Hang?.Invariant ?? Fault?.Problem.Invariant ?? State?.Invariant ?? Run!.Problem!.Invariant;

    /// <summary>By which tier it was found; <see cref="Tier.Live"/> when no power cut was needed.</summary>
    public Tier Tier => Fault is null ? State?.Tier ?? Tier.Live : Tier.Fault;

    /// <summary>How it was seen.</summary>
    public string Message => Hang is not null ? Hang.Message : Fault is not null ? $"{Fault.Kind}: {Fault.Problem.Message}" : State is { Problem: InvariantBrokenException broken } ? broken.Message
        : State is { Problem: { } problem } ? $"{problem.GetType().Name}: {problem.Message}" : Run!.Problem!.Message;

    /// <summary>The failure in lines of text.</summary>
    public IReadOnlyList<string> Describe() =>
    [
        $"{Pipeline.Name} breaks {Invariant.Number()}: {Invariant.Meaning()}",
        $"  {Message}",
        $"  found by {Tier.ToString().ToLowerInvariant()} in workload {WorkloadIndex} ({Workload.Origin}), variant {Pipeline.Variant}",
        .. (Run?.History.Operations ?? []).Select(operation => $"  {operation.Number,3}  {operation.Operation}{(operation.Outcome is { } outcome ? $" ({outcome})" : "")}"),
    ];

    /// <summary>The workload as it was run; null when it did not end.</summary>
    internal WorkloadRun? Run { get; init; }

    /// <summary>The damage that did it; null when the devices did what they promise.</summary>
    public FaultFinding? Fault { get; init; }

    internal ExplorerSettings Settings { get; }

    /// <summary>The state; null when no power cut was needed.</summary>
    internal BrokenState? State { get; init; }

    /// <summary>Set when something did not end.</summary>
    internal InvariantBrokenException? Hang { get; init; }
}
