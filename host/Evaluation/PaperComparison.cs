using System.Globalization;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation;

/// <summary>The papers' figures beside those of a run. The sentences that say why they differ are chosen by what the run counted.</summary>
internal sealed class PaperComparison
{
    private const string Amplification = "Kim, Won: Delay Reduction Technique for Amplified Sync Operation of QCOW2 Virtual Disk";

    // Host flushes for each guest flush of an allocating write in QEMU 2.1.2, as the first paper counts them: three or more.
    private const double FlushesOfOldQemu = 3;

    // A count that differs by less is the same: new tables, commits of the guest's own journal.
    private const double SameCount = 0.05;

    private static readonly (string Name, string[] Workloads, double Throughput, double? Latency)[] s_amplification =
    [
        ("GNU dd append", ["dd-append-dsync"], 81.1, null),
        ("GNU dd overwrite", ["dd-overwrite-dsync"], 4.5, null),
        ("Mobibench append", ["mobibench-append-64k"], 4.7, null),
        ("Mobibench overwrite", ["mobibench-overwrite-64k"], -2.7, null),
        ("Filebench varmail", ["varmail"], 9.2, null),
        ("YCSB insert-only", ["ycsb-insert-postgresql", "ycsb-insert-sqlite"], 3.3, -3.6),
        ("YCSB update-only", ["ycsb-update-postgresql", "ycsb-update-sqlite"], 0.6, -0.5),
    ];

    private readonly IReadOnlyList<EvaluationRow> _rows;

    private PaperComparison(IReadOnlyList<EvaluationRow> rows) => _rows = rows;

    /// <summary>All figures of both papers; those that were not measured stand without ours.</summary>
    public static IReadOnlyList<PaperFigure> Of(IReadOnlyList<EvaluationRow> rows)
    {
        var comparison = new PaperComparison(rows);
        return [.. s_amplification.SelectMany(figure => comparison.OfAmplification(figure.Name, figure.Workloads, figure.Throughput, figure.Latency)), .. MemoryFigures.Of(rows)];
    }

    /// <summary>The paper's comparison in both regimes, and ours against QEMU.</summary>
    private IEnumerable<PaperFigure> OfAmplification(string name, string[] workloads, double throughput, double? latency)
    {
        string workload = workloads.FirstOrDefault(each => _rows.Any(row => row.Workload == each && row.Place == EvaluationPlace.GuestFileSystem)) ?? workloads[^1];
        DeviceRegime[] regimes = [.. Enum.GetValues<DeviceRegime>().Where(regime => regime == DeviceRegime.AsIs || Row(workload, regime, BuiltInPipelines.Qcow2Barrier) is not null)];
        foreach (DeviceRegime regime in regimes)
        {
            EvaluationRow? barrier = Row(workload, regime, BuiltInPipelines.Qcow2Barrier), ordered = Row(workload, regime, BuiltInPipelines.Qcow2Ordered);
            yield return Figure(name, "QEMU(Barrier) against QEMU, throughput", throughput, barrier, ordered, workload, regime);
            if (latency is { } paper) yield return LatencyFigure(name, paper, barrier, ordered, workload, regime);
        }

        EvaluationRow? qemu = Row(workload, DeviceRegime.AsIs, EvaluatedContender.Baseline), journal = Row(workload, DeviceRegime.AsIs, BuiltInPipelines.Qcow2Journal);
        if (qemu is not null && journal is not null) yield return Figure(name, "QEMU(Barrier) against QEMU, throughput", throughput, journal, qemu, workload, DeviceRegime.AsIs);
    }

    private static PaperFigure Figure(string name, string claim, double paper, EvaluationRow? better, EvaluationRow? baseline, string workload, DeviceRegime regime)
    {
        string ours = $"{better?.Contender ?? BuiltInPipelines.Qcow2Barrier} against {baseline?.Contender ?? BuiltInPipelines.Qcow2Ordered}, {workload}, guest file system{Words(regime)}";
        if (better is null || baseline is null) return new PaperFigure(Amplification, name, claim, paper, ours, null, null, "");
        double[] changes = [.. better.Rounds.Zip(baseline.Rounds, (one, other) => Percent(one.OperationsPerSecond / other.OperationsPerSecond))];
        double change = Quantiles.Median([.. changes]);
        var range = new Interval(changes.Min(), changes.Max());
        return new PaperFigure(Amplification, name, claim, paper, ours, change, range, range.Smallest <= paper && paper <= range.Largest ? "" : Why(better, baseline, paper, range, regime));
    }

    private static PaperFigure LatencyFigure(string name, double paper, EvaluationRow? barrier, EvaluationRow? ordered, string workload, DeviceRegime regime)
    {
        string ours = $"{BuiltInPipelines.Qcow2Barrier} against {BuiltInPipelines.Qcow2Ordered}, {workload}, guest file system{Words(regime)}";
        const string Claim = "QEMU(Barrier) against QEMU, latency";
        if (barrier?.Latency is null || ordered?.Latency is null) return new PaperFigure(Amplification, name, Claim, paper, ours, null, null, "");
        // One client: the mean latency of a round is its time by its operations.
        double[] changes = [.. barrier.Rounds.Zip(ordered.Rounds, (one, other) => Percent(other.OperationsPerSecond / one.OperationsPerSecond))];
        var range = new Interval(changes.Min(), changes.Max());
        return new PaperFigure(Amplification, name, Claim, paper, ours, Quantiles.Median([.. changes]), range, range.Smallest <= paper && paper <= range.Largest ? "" : Why(barrier, ordered, -paper, new Interval(-range.Largest, -range.Smallest), regime));
    }

    /// <summary>What was counted, in a sentence, and how much it is worth where the rounds do not even agree on who is faster.</summary>
    private static string Why(EvaluationRow better, EvaluationRow baseline, double paper, Interval ours, DeviceRegime regime) => Counted(better, baseline, paper, ours, regime)
        + (better.Rounds.Count < 2 ? " One round only: the difference may be chance." : ours.Smallest < 0 && ours.Largest > 0 ? " The rounds do not agree on who is faster." : "");

    private static string Counted(EvaluationRow better, EvaluationRow baseline, double paper, Interval ours, DeviceRegime regime)
    {
        double? own = better.Amplification?.HostFlushesPerGuestFlush, its = baseline.Amplification?.HostFlushesPerGuestFlush, barriers = better.Amplification?.BarriersPerGuestFlush;
        if (own is null || its is null) return "Not told: nobody counted the host's flushes.";
        string counted = string.Create(CultureInfo.InvariantCulture, $"a guest flush costs {its:0.00} host flushes with {baseline.Contender} and {own:0.00} with {better.Contender}{(barriers > SameCount ? string.Create(CultureInfo.InvariantCulture, $", {barriers:0.00} of them for order alone") : "")}");
        if (better.Contender == BuiltInPipelines.Qcow2Barrier && barriers <= SameCount && its <= 1 + SameCount)
            return $"{Sentence(counted)}: the workload changes hardly any metadata, so there is nothing to order and nothing that a barrier could save; what is left is the spread of the rounds.";
        if (better.Contender == BuiltInPipelines.Qcow2Barrier && Math.Abs(own.Value - its.Value) <= SameCount)
            return $"{Sentence(counted)}: this kernel has no barrier, so that order is kept by flushes that the strategy makes itself: as many, and what is saved is at most the waiting for some of them.{(its < FlushesOfOldQemu - 0.5 ? $" The order itself costs fewer flushes than in the paper's QEMU 2.1.2 ({FlushesOfOldQemu:0} or more)." : "")}";
        if (ours.Smallest > paper)
            return own < its - SameCount
                ? $"{Sentence(counted)}: the journal makes a guest flush one host flush, where the paper's barriers still wait for the last one after several writes."
                : $"{Sentence(counted)}; the host's flushes are as many, and what each request costs besides is less.";
        if (regime == DeviceRegime.AsIs && its < FlushesOfOldQemu - 0.5)
            return $"{Sentence(counted)}, where the paper's QEMU 2.1.2 needs {FlushesOfOldQemu:0} or more: there is less to save.";
        return $"{Sentence(counted)}: other costs of an operation, in the guest's file system and the kernel between, weigh more here than in the paper.";
    }

    private EvaluationRow? Row(string workload, DeviceRegime regime, string contender)
        => _rows.FirstOrDefault(row => row.Place == EvaluationPlace.GuestFileSystem && row.Workload == workload && row.Regime == regime && row.Contender == contender);

    private static string Words(DeviceRegime regime) => regime == DeviceRegime.AsIs ? "" : ", slow flush";

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    private static double Percent(double ratio) => Math.Round((ratio - 1) * 100, 2);
}
