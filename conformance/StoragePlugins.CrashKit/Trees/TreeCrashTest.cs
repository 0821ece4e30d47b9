using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>
/// Puts a pipeline whose image is a tree of files through power cuts: does workloads of file operations to it in simulated persistent memory, and of each explores
/// the states that a power cut at any moment could have left.
/// </summary>
/// <remarks>Workers share nothing but the ledger. One object, one run.</remarks>
public sealed class TreeCrashTest : ICrashTestRun
{
    private static readonly PersistenceDomain[] Domains = [PersistenceDomain.Adr, PersistenceDomain.Eadr, PersistenceDomain.Msync];

    private readonly IReadOnlyList<TestedPipeline> _variants;
    private readonly CrashTestSettings _settings;
    private readonly TreeWorkloadPlan _plan;
    private readonly StateLedger _ledger = new();
    private readonly WorkerPool<TreeFailure> _workers;
    private long _traceEvents;

    /// <summary>Prepares a run.</summary>
    /// <param name="variants">The pipeline in one or more variants of its options, from <see cref="Of"/>; they take turns.</param>
    /// <param name="settings">How.</param>
    public TreeCrashTest(IReadOnlyList<TestedPipeline> variants, CrashTestSettings settings)
    {
        ArgumentOutOfRangeException.ThrowIfZero(variants.Count);
        (_variants, _settings, _plan) = (variants, settings, new TreeWorkloadPlan(settings.Seed));
        _workers = new WorkerPool<TreeFailure>(settings, _ledger, "crash test of trees", static (subject, hang) => subject with { Hang = hang });
    }

    /// <summary>The pipeline over an image in mapped memory, where its images are trees of files.</summary>
    /// <returns>Null when they are not, or when they cannot be in memory.</returns>
    public static TestedPipeline? Of(TestedPipeline pipeline)
    {
        TestedPipeline mapped = pipeline with { MapsImage = true };
        try
        {
            using OpenedSubject opened = mapped.Open(mapped.Create(TreeRun.ImageBytes, PersistenceModel.Pm));
            bool isTree = opened.Image.GetCapability<IFileTree>() is { Durability: TreeDurability.OnReturn, IsReadOnly: false };
            opened.Image.Close();
            return isTree ? mapped : null;
        }
        catch (Exception problem) when (problem is DiagnosticException or StorageException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public CrashTestReport Progress() => new()
    {
        Pipeline = _variants[0].Name,
        Variants = [.. _variants.Select(variant => variant.Variant)],
        Model = PersistenceModel.Pm,
        Seed = _settings.Seed,
        States = _ledger.States,
        DistinctStates = _ledger.DistinctStates,
        JudgedStates = _ledger.Judged,
        ByTier = _ledger.JudgedByTier,
        Faults = [],
        Workloads = _workers.Workloads,
        TraceEvents = Interlocked.Read(ref _traceEvents),
        Elapsed = _workers.Elapsed,
        Failures = [],
        TreeFailures = _workers.Failures,
    };

    /// <inheritdoc/>
    public CrashTestReport Run(CancellationToken cancellation = default)
    {
        _workers.Run(Explore, cancellation);
        return Progress();
    }

    /// <summary>Explores one workload.</summary>
    /// <returns>What is wrong; null when nothing was found.</returns>
    internal static TreeFailure? Explore(TreeFailure subject, StateLedger ledger, Random random, CancellationToken stop, Action<TreeRun, long>? watch = null)
    {
        TreeRun run = TreeRun.Execute(subject.Pipeline, subject.Workload, subject.Domain);
        subject = subject with { Run = run };
        if (run.Problem is not null) return subject;
        var settings = new ExplorerSettings { Model = PersistenceModel.Pm };
        var judge = new TreeJudge(subject.Pipeline, run, settings, ledger, new TreeJudgeDepth(), random, stop);
        var explorer = new StateExplorer(run.Start, run.Trace, settings, ledger);
        void Judge(Media.Machine machine, long tick, Tier tier)
        {
            watch?.Invoke(run, tick);
            judge.Judge(machine, tick, tier);
        }

        foreach (BrokenState broken in explorer.Explore(run.Steps.Select(step => step.Span.End), TreeJudge.Obligations(run), Judge, random, stop, run.FirstTick))
            return subject with { State = broken };
        return null;
    }

    private void Explore(long index, WorkerPool<TreeFailure>.Watch watch, CancellationToken stop)
    {
        TestedPipeline pipeline = _variants[(int)(index % _variants.Count)];
        Random random = WorkloadPlan.Seeded(_settings.Seed, index, salt: 12);
        var subject = new TreeFailure(pipeline, index, _plan[index / _variants.Count]) { Seed = _settings.Seed, Domain = Domains[random.Next(Domains.Length)] };
        watch.Begin(subject, "the workload");
        TreeFailure? failure = Explore(subject, _ledger, random, stop, (run, tick) => watch.Begin(subject with { Run = run }, $"the recovery of a state of tick {tick}"));
        watch.End();
        if (failure?.Run is { } done) Interlocked.Add(ref _traceEvents, done.Trace.Events.Count);
        if (failure is not null) _workers.Fail(_settings.ShrinksTrees ? TreeShrinker.Shrink(failure) : failure);
    }
}
