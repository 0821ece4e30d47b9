using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Runs;

/// <summary>
/// Puts a pipeline through power cuts: runs workload after workload under the recorder, and of each explores the states that a power cut at any
/// moment could have left.
/// </summary>
/// <remarks>Workers share nothing but the ledger. One object, one run.</remarks>
public sealed class CrashTest : ICrashTestRun
{
    private static readonly PersistenceDomain[] Domains = [PersistenceDomain.Adr, PersistenceDomain.Eadr, PersistenceDomain.Msync];

    /// <summary>About so many bytes of disk: enough for several tables, few enough to read whole in microseconds.</summary>
    private const long DiskBytes = 256 << 10;

    private const int LeastBlocks = 12, MostBlocks = 256;

    private readonly List<TestedPipeline> _variants;
    private readonly CrashTestSettings _settings;
    private readonly StateLedger _ledger = new();
    private readonly FaultTally _faults = new();
    private readonly WorkerPool<CrashFailure> _workers;
    private readonly List<WorkloadPlan> _plans = [];
    private long _traceEvents;

    /// <summary>Prepares a run.</summary>
    /// <param name="variants">The pipeline in one or more variants of its options, which take turns.</param>
    /// <param name="settings">How.</param>
    public CrashTest(IReadOnlyList<TestedPipeline> variants, CrashTestSettings settings)
    {
        ArgumentOutOfRangeException.ThrowIfZero(variants.Count);
        (_variants, _settings) = ([.. variants], settings);
        _workers = new WorkerPool<CrashFailure>(settings, _ledger, "crash test", static (subject, hang) => subject with { Hang = hang });
    }

    /// <summary>The models that a pipeline is to be tested under: memory where it maps some; otherwise disks, and disks that keep barriers when it uses barriers.</summary>
    /// <exception cref="DiagnosticException">The pipeline cannot be tested at all.</exception>
    public static IReadOnlyList<PersistenceModel> ModelsFor(TestedPipeline pipeline)
    {
        GuestOperation[] work = [new(GuestAction.Write, 0, 4096), new(GuestAction.Flush), new(GuestAction.Barrier), new(GuestAction.Write, 65536, 4096), new(GuestAction.Flush)];
        var workload = new Workload(1 << 20, [.. work.Select(operation => new[] { operation })]);
        Machine memory = pipeline.Create(workload.DiskBytes, PersistenceModel.Pm);
        WorkloadRun run = WorkloadRun.Execute(pipeline, workload, memory, new byte[workload.DiskBytes], []);
        if (memory.Devices.Any(device => device.MappedAs is not null)) return [PersistenceModel.Pm];
        if (run.Problem is { InnerException: DiagnosticException unusable }) throw unusable;
        run = WorkloadRun.Execute(pipeline, workload, PersistenceModel.Barrier);
        return run.Trace.Events.Any(entry => entry.Kind == TraceKind.Barrier) ? [PersistenceModel.Disk, PersistenceModel.Barrier] : [PersistenceModel.Disk];
    }

    /// <summary>Where the run stands. From any thread.</summary>
    public CrashTestReport Progress() => new()
    {
        Pipeline = _variants[0].Name,
        Variants = [.. _variants.Select(variant => variant.Variant)],
        Model = _settings.Model,
        Seed = _settings.Seed,
        States = _ledger.States,
        DistinctStates = _ledger.DistinctStates,
        JudgedStates = _ledger.Judged,
        ByTier = _ledger.JudgedByTier,
        Faults = _faults.Counts(),
        Workloads = _workers.Workloads,
        TraceEvents = Interlocked.Read(ref _traceEvents),
        Elapsed = _workers.Elapsed,
        Failures = _workers.Failures,
    };

    /// <summary>Runs until the budget is spent or enough failures were found.</summary>
    /// <exception cref="DiagnosticException">The pipeline cannot be tested at all.</exception>
    public CrashTestReport Run(CancellationToken cancellation = default)
    {
        MakePlans();
        _workers.Run(Explore, cancellation);
        return Progress();
    }

    // A combination of options that the pipeline itself refuses is no variant of it; the first one has to work.
    private void MakePlans()
    {
        for (int v = 0; v < _variants.Count;)
        {
            try
            {
                _plans.Add(PlanFor(_variants[v]));
                v++;
            }
            catch (DiagnosticException) when (v > 0)
            {
                _variants.RemoveAt(v);
            }
        }
    }

    private WorkloadPlan PlanFor(TestedPipeline pipeline)
    {
        // A first image tells what the format offers.
        Machine machine = pipeline.Create(1 << 20, _settings.Model);
        int block;
        bool hasSnapshots, hasResize;
        using (OpenedSubject opened = pipeline.Open(machine))
        {
            using IVirtualDisk disk = opened.Image.OpenDisk("");
            block = disk.PreferredBlockSize;
            hasSnapshots = opened.Image.GetCapability<ISnapshotImage>() is not null;
            hasResize = disk.GetCapability<IResizableDisk>() is not null;
            opened.Image.Close();
        }

        return new WorkloadPlan(_settings.Seed, block, block * Math.Clamp(DiskBytes / block, LeastBlocks, MostBlocks), hasSnapshots, hasResize);
    }

    private void Explore(long index, WorkerPool<CrashFailure>.Watch watch, CancellationToken stop)
    {
        int variant = (int)(index % _variants.Count);
        TestedPipeline pipeline = _variants[variant];
        Workload workload = _plans[variant][index / _variants.Count];
        Random random = WorkloadPlan.Seeded(_settings.Seed, index, salt: 1);
        PersistenceDomain domain = Domains[random.Next(Domains.Length)];
        // One workload in four on disks that write 4 KiB whole.
        var settings = new ExplorerSettings { Model = _settings.Model, AtomBytes = random.Next(4) == 0 ? 4096 : 512 };
        var failure = new CrashFailure(pipeline, index, workload, settings) { Seed = _settings.Seed };
        WorkloadRun run = watch.While(failure, "the workload", () => WorkloadRun.Execute(pipeline, workload, _settings.Model, domain));
        Interlocked.Add(ref _traceEvents, run.Trace.Events.Count);
        failure = failure with { Run = run };
        if (run.Problem is not null)
        {
            _workers.Fail(failure);
            return;
        }

        if (!run.FaultDiedUntold) ExploreStates(failure, run, Depth(index), random, watch, stop);
        Random erring = WorkloadPlan.Seeded(_settings.Seed, index, salt: 2);
        if (_settings.FaultsEvery > 0 && erring.Next(_settings.FaultsEvery) == 0) ExploreFaults(failure, domain, erring, watch, stop);
    }

    private JudgeDepth Depth(long index)
    {
        var depth = new JudgeDepth { Foreign = _settings.Foreign };
        return depth with { ForeignTurn = WorkloadPlan.Seeded(_settings.Seed, index, salt: 3).Next(depth.ForeignEvery) };
    }

    private void ExploreStates(CrashFailure failure, WorkloadRun run, JudgeDepth depth, Random random, WorkerPool<CrashFailure>.Watch watch, CancellationToken stop)
    {
        var judge = new PipelineJudge(failure.Pipeline, run, failure.Settings, _ledger, depth, random, stop);
        var explorer = new StateExplorer(run.Start, run.Trace, failure.Settings, _ledger);
        void Judge(Machine machine, long tick, Tier tier) => watch.While(failure, $"the recovery of a state of tick {tick}", () =>
        {
            judge.Judge(machine, tick, tier);
            return true;
        });
        foreach (BrokenState broken in explorer.Explore(run.History.TellingTicks, run.History.ObligationAt, Judge, random, stop, run.FirstTick))
        {
            _workers.Fail(failure with { State = broken });
            return;
        }
    }

    // Errors that the running system meets, each in a run of its own with the power cuts after it; then damage to what the run left.
    private void ExploreFaults(CrashFailure failure, PersistenceDomain domain, Random random, WorkerPool<CrashFailure>.Watch watch, CancellationToken stop)
    {
        WorkloadRun run = failure.Run!;
        foreach (DeviceFault fault in RunningFaults.Of(run.Trace, random))
        {
            if (stop.IsCancellationRequested) return;
            Workload workload = failure.Workload with { Fault = fault };
            CrashFailure erring = failure.Of(workload, failure.Settings with { CountAs = Tier.Fault, Limits = RunningFaults.Limits });
            WorkloadRun met = watch.While(erring, $"the workload with {fault}", () => WorkloadRun.Execute(failure.Pipeline, workload, _settings.Model, domain));
            if (!met.FaultHasStruck) continue;
            _faults.Count(fault.Kind, met switch
            {
                { Problem: not null } => FaultOutcome.Silent,
                { FaultWasTold: true } => FaultOutcome.Detected,
                { FaultDiedUntold: true } => FaultOutcome.Unprotected,
                _ => FaultOutcome.Harmless,
            });
            if (met is { FaultDiedUntold: true, Problem: null }) continue;
            erring = erring with { Run = met };
            if (met.Problem is not null) _workers.Fail(erring);
            else ExploreStates(erring, met, JudgeDepth.Bare, random, watch, stop);
        }

        var explorer = new FaultExplorer(failure.Pipeline, run, failure.Settings, _ledger, _faults, random, stop);
        void Watched(string what, Action work) => watch.While(failure, what, () =>
        {
            work();
            return true;
        });
        foreach (FaultFinding finding in explorer.Explore(Watched)) _workers.Fail(failure with { Fault = finding, State = finding.State });
    }
}
