using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>A state that a tree does not survive, or a wrong answer of the running tree.</summary>
public sealed record TreeFailure
{
    internal TreeFailure(TestedPipeline pipeline, long workloadIndex, TreeWorkload workload) => (Pipeline, WorkloadIndex, Workload) = (pipeline, workloadIndex, workload);

    /// <summary>The composition that failed.</summary>
    public TestedPipeline Pipeline { get; }

    /// <summary>The workload's number: with <see cref="Seed"/> it gives the same workload again.</summary>
    public long WorkloadIndex { get; }

    /// <summary>What was done, made as small as it got.</summary>
    public TreeWorkload Workload { get; init; }

    /// <summary>The run's seed.</summary>
    public int Seed { get; init; }

    /// <summary>Where stores were durable.</summary>
    public PersistenceDomain Domain { get; init; }

    /// <summary>What does not hold.</summary>
    public Invariant Invariant => Hang?.Invariant ?? State?.Invariant ?? Run!.Problem!.Invariant;

    /// <summary>By which tier it was found; <see cref="Tier.Live"/> when no power cut was needed.</summary>
    public Tier Tier => State?.Tier ?? Tier.Live;

    /// <summary>How it was seen.</summary>
    public string Message => Hang is not null ? Hang.Message : State is { Problem: InvariantBrokenException broken } ? broken.Message
        : State is { Problem: { } problem } ? $"{problem.GetType().Name}: {problem.Message}" : Run!.Problem!.Message;

    internal TreeRun? Run { get; init; }

    internal BrokenState? State { get; init; }

    internal InvariantBrokenException? Hang { get; init; }

    /// <summary>The failure in lines of text.</summary>
    public IReadOnlyList<string> Describe() =>
    [
        $"{Pipeline.Name} breaks {Invariant.Number()}: {Invariant.Meaning()}",
        $"  {Message}",
        $"  found by {Tier.ToString().ToLowerInvariant()} in workload {WorkloadIndex} ({Workload.Origin}), domain {Domain}, seed {Seed}",
        .. Operations().Select(operation => $"  {operation.Number,3}  {operation.Text} ({operation.Fate})"),
    ];

    /// <summary>The failure as a story.</summary>
    public Story Tell() => new()
    {
        Pipeline = Pipeline.Name,
        Variant = Pipeline.Variant,
        Model = "pm",
        AtomBytes = sizeof(long),
        Seed = Seed,
        Workload = WorkloadIndex,
        Origin = $"{Workload.Origin}, domain {Domain.ToString().ToLowerInvariant()}",
        Tier = Tier.ToString().ToLowerInvariant(),
        Invariant = Invariant.Number(),
        Expected = Invariant.Meaning(),
        Found = Message,
        Operations = [.. Operations()],
        Cuts = State is null || Run is null ? [] : [CutOf(State)],
        Repeat = $"sphost crash-test -p {Pipeline.Name} --seed {Seed}",
    };

    private IEnumerable<StoryOperation> Operations() => Run is null
        ? Workload.Operations.Select((operation, i) => new StoryOperation(i, operation.ToString(), "not known", false))
        : Run.Steps.Select(step => new StoryOperation(step.Number, step.Operation.ToString(), FateOf(step), false));

    private string FateOf(TreeStep step)
    {
        string answer = step.Error == FileError.None ? "acknowledged" : $"answered {step.Error}";
        if (State is null) return step.Span.End == long.MaxValue ? "under way" : answer;
        return step.Span.End <= State.Tick ? answer : step.Span.Begin <= State.Tick ? "under way" : "not begun";
    }

    private StoryCut CutOf(BrokenState state)
    {
        var cursor = new TraceCursor(Run!.Start, Run.Trace, PersistenceModel.Pm);
        cursor.MoveTo(state.Tick);
        (_, TreeStep? underWay) = Run.At(state.Tick);
        return StoryTeller.CutOf(Run.Trace, cursor.Here(), state.Choice, underWay is null ? "" : $"operation {underWay.Number}");
    }
}
