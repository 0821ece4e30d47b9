using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Checking;

/// <summary>A second opinion on a recovered image, by a program that knows nothing of the strategies: qemu-img.</summary>
public interface IForeignReader
{
    /// <summary>Judges an image.</summary>
    /// <param name="image">The image's bytes.</param>
    /// <param name="disk">What its disk shows to us.</param>
    /// <param name="leaksAllowed">Leaked space is no fault.</param>
    /// <returns>What is wrong, in one sentence; null when nothing is.</returns>
    string? Judge(ReadOnlySpan<byte> image, ReadOnlySpan<byte> disk, bool leaksAllowed);
}

/// <summary>How often the costly checks are made: every so many judged states. 0 for never.</summary>
internal sealed record JudgeDepth
{
    /// <summary>Recovery, what the disk shows, and the format's check; nothing more.</summary>
    public static JudgeDepth Bare { get; } = new() { ReadOnlyEvery = 0, RecoveryEvery = 0, ContinueEvery = 0, RereadEvery = 0 };

    /// <summary>Look at the state through a read-only opening first.</summary>
    public int ReadOnlyEvery { get; init; } = 8;

    /// <summary>Cut the power again inside the recovery.</summary>
    public int RecoveryEvery { get; init; } = 40;

    /// <summary>Work on after the recovery, and cut the power again.</summary>
    public int ContinueEvery { get; init; } = 60;

    /// <summary>Ask the foreign reader: its processes take as long as some hundred states.</summary>
    public int ForeignEvery { get; init; } = 2_500;

    /// <summary>Which of them it is asked about, below <see cref="ForeignEvery"/>: runs are shorter than that, and each is to have its chance.</summary>
    public int ForeignTurn { get; init; }

    /// <summary>Read the image again after its clean close.</summary>
    public int RereadEvery { get; init; } = 8;

    public IForeignReader? Foreign { get; init; }
}

/// <summary>Recovers a state of a pipeline's devices and checks all invariants. Not thread-safe; one per explored run.</summary>
internal sealed class PipelineJudge(TestedPipeline pipeline, WorkloadRun run, ExplorerSettings settings, StateLedger ledger, JudgeDepth depth, Random random, CancellationToken stop)
{
    private static readonly ChooserLimits InRecovery = new() { StatesPerPoint = 3, FullSubsetRequests = 0, FullAtomStates = 0, Pairs = 0, RandomPerEpoch = 2 };
    private static readonly ChooserLimits Afterwards = new() { StatesPerPoint = 6, FullSubsetRequests = 2, FullAtomStates = 4, Pairs = 1, RandomPerEpoch = 3 };

    private byte[] _shown = [];
    private byte[] _again = [];
    private long _judged;

    /// <summary>A second power cut that is to be tried before others.</summary>
    public RememberedCut? Remembered { get; init; }

    /// <summary>Judges a state; the machine is left recovered and closed.</summary>
    public void Judge(Machine machine, long tick, Tier tier)
    {
        _judged++;
        Machine? before = IsTurn(depth.RecoveryEvery) ? machine.Copy() : null;
        byte[]? readOnly = IsTurn(depth.ReadOnlyEvery) ? ReadWithoutWriting(machine) : null;
        bool isAtomic = Recover(machine, tick, null);
        if (readOnly is not null && !readOnly.AsSpan().SequenceEqual(_shown)) throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, "opened read-only before recovery the disk shows something else than after it" + GuestPromises.Difference(readOnly, _shown));
        byte[] recovered = before is not null || IsTurn(depth.ContinueEvery) || IsTurn(depth.RereadEvery) ? _shown.AsSpan().ToArray() : [];
        if (IsTurn(depth.RereadEvery)) Reread(machine, recovered);
        if (depth.Foreign is { } foreign && _judged % depth.ForeignEvery == depth.ForeignTurn && foreign.Judge(machine.Devices[0].Image.ToArray(), _shown, !isAtomic) is { } wrong)
            throw new InvariantBrokenException(Invariant.I12ForeignReaderAgrees, wrong);
        if (before is not null) CrashInRecovery(before, tick, recovered);
        if (IsTurn(depth.ContinueEvery)) GoOn(machine, recovered);
    }

    private bool IsTurn(int every) => every > 0 && _judged % every == every / 2;

    /// <summary>Opens, judges what is shown, closes, checks.</summary>
    private bool Recover(Machine machine, long tick, Trace? trace)
    {
        bool isAtomic;
        using (OpenedSubject opened = pipeline.Open(machine, trace: trace))
        {
            isAtomic = opened.IsAtomic;
            ReadDisk(opened, ref _shown);
            GuestPromises.Judge(run.History, opened.Image, _shown, tick);
            opened.Image.Close();
        }

        if (pipeline.Check(machine) is { } report)
        {
            if (report.Corruptions > 0) throw new InvariantBrokenException(Invariant.I3CheckIsClean, $"the check finds corruption: {string.Join("; ", report.Findings.Take(3))}");
            if (report.Leaks > 0 && isAtomic) throw new InvariantBrokenException(Invariant.I8MetadataAgree, $"an atomic journal leaks: {string.Join("; ", report.Findings.Take(3))}");
        }

        return isAtomic;
    }

    private static void ReadDisk(OpenedSubject opened, ref byte[] buffer)
    {
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        if (buffer.Length != disk.Length) buffer = new byte[disk.Length];
        disk.Read(0, buffer);
    }

    private byte[] ReadWithoutWriting(Machine machine)
    {
        using OpenedSubject opened = pipeline.Open(machine, readOnly: true);
        ReadDisk(opened, ref _again);
        return _again;
    }

    private void Reread(Machine machine, byte[] expected)
    {
        if (!ReadWithoutWriting(machine).AsSpan().SequenceEqual(expected))
            throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, "after recovery and a clean close the disk shows something else" + GuestPromises.Difference(_again, expected));
    }

    // I9: a power cut inside the recovery, and a second one.
    private void CrashInRecovery(Machine before, long tick, byte[] expected)
    {
        var trace = new Trace();
        Machine start = before.Copy();
        Recover(before, tick, trace);
        start.AddDevicesOf(before);
        var explorer = new StateExplorer(start, trace, settings with { Limits = InRecovery, CountAs = Tier.Recovery }, ledger);
        void JudgeSecond(Machine machine, long _, Tier __)
        {
            Recover(machine, tick, null);
            if (!_shown.AsSpan().SequenceEqual(expected))
                throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, "a second recovery, after a power cut in the first, shows something else" + GuestPromises.Difference(_shown, expected));
        }

        // Here more is owed than of the same content after one power cut: to show the same as the undisturbed recovery.
        ulong obligation = run.History.ObligationAt(tick) ^ ContentHash.Of(0, 0, expected);
        IEnumerable<BrokenState> found = Again(Tier.Recovery, start, trace, JudgeSecond).Concat(explorer.Explore([], _ => obligation, JudgeSecond, random, stop));
        foreach (BrokenState broken in found) throw new SecondCutException(broken.Problem, new SecondCut(Tier.Recovery, start, trace, broken, JudgeSecond));
    }

    private IEnumerable<BrokenState> Again(Tier tier, Machine start, Trace trace, StateJudge judge)
    {
        if (Remembered is not { State: { } state } || Remembered.Tier != tier) yield break;
        var cursor = new TraceCursor(start, trace, settings.Model, settings.AtomBytes);
        cursor.MoveTo(state.Tick);
        CrashPoint point = cursor.Here();
        if (state.ResolveAt(point) is { } choice && StateExplorer.Try(point, choice, tier, judge) is { } broken) yield return broken;
    }

    // I10: what a recovery leaves is an image like any other.
    private void GoOn(Machine machine, byte[] shown)
    {
        Workload continuation = Remembered?.Continuation ?? Continuation(shown.Length);
        SnapshotLife[] snapshots = [.. SnapshotsOf(machine)];
        WorkloadRun second = WorkloadRun.Execute(pipeline, continuation, machine, shown, snapshots);
        var judge = new PipelineJudge(pipeline, second, settings, ledger, JudgeDepth.Bare, random, stop);
        SecondCut Cut(BrokenState? broken) => new(Tier.Continued, second.Start, second.Trace, broken, judge.Judge, second, continuation);
        if (second.Problem is { } problem) throw new SecondCutException(new InvariantBrokenException(Invariant.I10GoesOn, $"after a recovery: {problem.Message}", problem), Cut(null));
        var explorer = new StateExplorer(second.Start, second.Trace, settings with { Limits = Afterwards, CountAs = Tier.Continued }, ledger);
        IEnumerable<BrokenState> found = Again(Tier.Continued, second.Start, second.Trace, judge.Judge)
            .Concat(explorer.Explore(second.History.TellingTicks, second.History.ObligationAt, judge.Judge, random, stop));
        foreach (BrokenState broken in found)
            throw new SecondCutException(new InvariantBrokenException(Invariant.I10GoesOn, $"after a recovery, more work and a second power cut: {broken.Problem.Message}", broken.Problem), Cut(broken));
    }

    private Workload Continuation(long disk)
    {
        int unit = disk >= 65536 && random.Next(2) == 0 ? 4096 : 512;
        var plan = new WorkloadPlan(random.Next(), unit, disk, hasSnapshots: false, hasResize: false);
        var steps = new List<IReadOnlyList<GuestOperation>>();
        for (int i = 0; i < 3; i++) steps.AddRange(plan[plan.AlphabetSize + 1 + (2 * i)].Steps.Where(step => step[0].ChangesRange).Take(2));
        steps.Add([new GuestOperation(GuestAction.Flush)]);
        steps.AddRange(plan[plan.AlphabetSize + 7].Steps.Where(step => step[0].ChangesRange).Take(1));
        return new Workload(disk, steps);
    }

    private IEnumerable<SnapshotLife> SnapshotsOf(Machine machine)
    {
        if (run.History.Snapshots.Count == 0) yield break;
        using OpenedSubject opened = pipeline.Open(machine, readOnly: true);
        foreach (DiskEntry entry in opened.Image.ListDisks(null, 1000).Where(disk => disk.Name.Length > 0))
        {
            using IVirtualDisk disk = opened.Image.OpenDisk(entry.Name);
            byte[] content = new byte[disk.Length];
            disk.Read(0, content);
            yield return new SnapshotLife(entry.Name, new Interval(0) { End = 0 }, content);
        }
    }
}
