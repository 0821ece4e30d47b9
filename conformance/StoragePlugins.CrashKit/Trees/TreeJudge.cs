using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>How often the costly checks of a tree are made: every so many judged states. 0 for never.</summary>
internal sealed record TreeJudgeDepth
{
    /// <summary>Recovery, what the tree shows, and the format's check; nothing more.</summary>
    public static TreeJudgeDepth Bare { get; } = new() { CheckFirstEvery = 0, ReadOnlyEvery = 0, RecoveryEvery = 0, ContinueEvery = 0, RereadEvery = 0 };

    /// <summary>Check the state before anything recovers it: the check has a reader of the journal of its own.</summary>
    public int CheckFirstEvery { get; init; } = 4;

    /// <summary>Look at the state through a read-only opening first.</summary>
    public int ReadOnlyEvery { get; init; } = 8;

    /// <summary>Cut the power again inside the recovery.</summary>
    public int RecoveryEvery { get; init; } = 60;

    /// <summary>Work on after the recovery, and cut the power again.</summary>
    public int ContinueEvery { get; init; } = 80;

    /// <summary>Read the image again after its clean close.</summary>
    public int RereadEvery { get; init; } = 8;
}

/// <summary>
/// Recovers a state and holds the tree against what it was: with all operations that had returned, and with or without the one that was under way, never with half
/// of it. Not thread-safe; one per explored run.
/// </summary>
internal sealed class TreeJudge(TestedPipeline pipeline, TreeRun run, ExplorerSettings settings, StateLedger ledger, TreeJudgeDepth depth, Random random, CancellationToken stop)
{
    private static readonly ChooserLimits InRecovery = new() { StatesPerPoint = 3, FullSubsetRequests = 0, FullAtomStates = 0, Pairs = 0, RandomPerEpoch = 2 };
    private static readonly ChooserLimits Afterwards = new() { StatesPerPoint = 6, FullSubsetRequests = 2, FullAtomStates = 4, Pairs = 1, RandomPerEpoch = 3 };

    private long _judged;

    /// <summary>A hash of what must hold at a tick.</summary>
    public static Func<long, ulong> Obligations(TreeRun run)
    {
        ulong[] hashes = [.. Enumerable.Range(0, run.Steps.Count + 1).Select(i => run.Steps.Count > i - 1 && (i == 0 || run.Steps[i - 1].After is not null) ? run.After(i).Hash() : 0)];
        return tick =>
        {
            (int returned, TreeStep? underWay) = run.At(tick);
            return underWay is null ? hashes[returned] : (hashes[returned] * 31) + hashes[returned + 1] + 1;
        };
    }

    /// <summary>Judges a state; the machine is left recovered and closed.</summary>
    public void Judge(Machine machine, long tick, Tier tier)
    {
        _judged++;
        Machine? before = IsTurn(depth.RecoveryEvery) ? machine.Copy() : null;
        if (IsTurn(depth.CheckFirstEvery)) Check(machine, "before its recovery ");
        TreeView? readOnly = IsTurn(depth.ReadOnlyEvery) ? ReadWithoutWriting(machine, mayBeRefused: true) : null;
        TreeView shown = Recover(machine, tick, null);
        if (readOnly is not null && TreeView.Difference(readOnly, shown, withTimes: true) is { } early)
            throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, $"opened read-only before its recovery the tree shows something else than after it: {early}");
        if (IsTurn(depth.RereadEvery) && TreeView.Difference(ReadWithoutWriting(machine, mayBeRefused: false)!, shown, withTimes: true) is { } later)
            throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, $"after recovery and a clean close the tree shows something else: {later}");
        if (before is not null) CrashInRecovery(before, tick, shown);
        if (IsTurn(depth.ContinueEvery)) GoOn(machine, shown);
    }

    private bool IsTurn(int every) => every > 0 && _judged % every == every / 2;

    /// <summary>Opens, judges what is shown, closes, checks.</summary>
    private TreeView Recover(Machine machine, long tick, Trace? trace)
    {
        TreeView shown;
        using (OpenedSubject opened = pipeline.Open(machine, trace: trace))
        {
            shown = TreeReader.Read(TreeOf(opened));
            JudgeView(shown, tick);
            opened.Image.Close();
        }

        Check(machine, "");
        return shown;
    }

    private void JudgeView(TreeView shown, long tick)
    {
        (int returned, TreeStep? underWay) = run.At(tick);
        string? without = TreeView.Difference(shown, run.After(returned), withTimes: true);
        if (without is null) return;
        if (underWay is null)
            throw new InvariantBrokenException(Invariant.I4Durable, $"{returned} operations had returned, none was under way, and {without} (power cut at tick {tick})");
        string? with = underWay.After is null ? "it was never done" : TreeView.Difference(shown, underWay.After, withTimes: true);
        if (with is null) return;
        if (underWay.Half is { } half && (IsHalf(shown, run.After(returned), half) || IsHalf(shown, underWay.After!, Backwards(half, run.After(returned).Paths[half.Path], underWay.After!.Paths[half.Path])))) return;
        throw new InvariantBrokenException(
            Invariant.I7Atomic, $"operation {underWay.Number} ({underWay.Operation}) was under way; the tree is neither as before it ({without}) nor as after it ({with}) (power cut at tick {tick})");
    }

    // Bytes that were there are changed in place: of these, and of nothing else, some may be new before the rest counts. What is new altogether is all there or not at all.
    private static bool IsHalf(TreeView shown, TreeView expected, HalfDone half) =>
        expected.Paths.ContainsKey(half.Path) && TreeView.Difference(shown, expected, withTimes: true, half) is null;

    // Where the rest counts already, bytes that were there before may still be old. Those behind the old end may not: a size never shows what is not there.
    internal static HalfDone Backwards(HalfDone half, NodeView before, NodeView after)
    {
        long end = half.Offset + half.Length;
        if (after.Attributes.Size > before.Attributes.Size) end = Math.Min(end, before.Attributes.Size / NodeView.WordBytes * NodeView.WordBytes);
        return half with { Length = Math.Max(0, end - half.Offset), After = before.Content };
    }

    private void Check(Machine machine, string when)
    {
        if (pipeline.Check(machine) is not { } report) return;
        if (report.Corruptions > 0) throw new InvariantBrokenException(Invariant.I3CheckIsClean, $"the check {when}finds corruption: {string.Join("; ", report.Findings.Take(3))}");
        if (report.Leaks > 0) throw new InvariantBrokenException(Invariant.I8MetadataAgree, $"the check {when}finds leaks: {string.Join("; ", report.Findings.Take(3))}");
    }

    private static IFileTree TreeOf(OpenedSubject opened) => opened.Image.GetCapability<IFileTree>() ?? throw new InvariantBrokenException(Invariant.I1Opens, "the image offers no tree of files");

    private TreeView? ReadWithoutWriting(Machine machine, bool mayBeRefused)
    {
        try
        {
            using OpenedSubject opened = pipeline.Open(machine, readOnly: true);
            return TreeReader.Read(TreeOf(opened));
        }
        catch (DiagnosticException) when (mayBeRefused)
        {
            return null;
        }
    }

    // I9: a power cut inside the recovery, and a second one.
    private void CrashInRecovery(Machine before, long tick, TreeView expected)
    {
        var trace = new Trace();
        Machine start = before.Copy();
        Recover(before, tick, trace);
        start.AddDevicesOf(before);
        var explorer = new StateExplorer(start, trace, settings with { Limits = InRecovery, CountAs = Tier.Recovery }, ledger);
        void JudgeSecond(Machine machine, long _, Tier __)
        {
            TreeView shown = Recover(machine, tick, null);
            if (TreeView.Difference(shown, expected, withTimes: true) is { } difference)
                throw new InvariantBrokenException(Invariant.I9RecoveryIsIdempotent, $"a second recovery, after a power cut in the first, shows something else: {difference}");
        }

        ulong obligation = expected.Hash();
        foreach (BrokenState broken in explorer.Explore([], _ => obligation, JudgeSecond, random, stop))
            throw new SecondCutException(broken.Problem, new SecondCut(Tier.Recovery, start, trace, broken, JudgeSecond));
    }

    // I10: what a recovery leaves is a tree like any other.
    private void GoOn(Machine machine, TreeView shown)
    {
        TreeRun second = TreeRun.Execute(pipeline, TreeWorkloadPlan.Continuation(random), machine, shown);
        var judge = new TreeJudge(pipeline, second, settings, ledger, TreeJudgeDepth.Bare, random, stop);
        SecondCut Cut(BrokenState? broken) => new(Tier.Continued, second.Start, second.Trace, broken, judge.Judge);
        if (second.Problem is { } problem) throw new SecondCutException(new InvariantBrokenException(Invariant.I10GoesOn, $"after a recovery: {problem.Message}", problem), Cut(null));
        var explorer = new StateExplorer(second.Start, second.Trace, settings with { Limits = Afterwards, CountAs = Tier.Continued }, ledger);
        foreach (BrokenState broken in explorer.Explore(second.Steps.Select(step => step.Span.End), Obligations(second), judge.Judge, random, stop))
        {
            string operations = string.Join("; ", second.Steps.Select(step => step.Operation));
            throw new SecondCutException(new InvariantBrokenException(Invariant.I10GoesOn, $"after a recovery, more work ({operations}) and a second power cut: {broken.Problem.Message}", broken.Problem), Cut(broken));
        }
    }
}
