using System.Globalization;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation;

/// <summary>An evaluation for people at a terminal: facts first, tables as results arrive, a summary, the papers' figures beside ours, and notes.</summary>
internal static class EvaluationTable
{
    private const double MiB = 1 << 20;

    private static readonly TableColumn<EvaluationRow>[] s_columns =
    [
        new("OPS/s", row => Number(row.OperationsPerSecond, row.OperationsPerSecond < 100 ? "0.0" : "0")),
        new("MiB/s", row => Number(row.BytesPerSecond / MiB, "0.0"), DroppedAs: 5),
        new("SPEED-UP", row => Number(row.SpeedUp, "0.00×"), row => row.SpeedUp is null or 1 ? null : row.SpeedUp > 1 ? Cell.Good : Cell.Bad),
        new("RANGE", row => row.SpeedUpRange is { } range && row.SpeedUp is not 1 ? $"{Number(range.Smallest, "0.00")}–{Number(range.Largest, "0.00")}" : "–", DroppedAs: 4),
        new("SPREAD", row => Number(row.Spread, "0%"), DroppedAs: 1),
        new("P50 µs", row => Number(row.Latency?.P50, "0"), DroppedAs: 6),
        new("P99 µs", row => Number(row.Latency?.P99, "0"), DroppedAs: 7),
        new("GUEST FL", row => Number(row.Amplification?.GuestFlushesPerOperation, "0.00"), DroppedAs: 2),
        new("HOST FL", row => Number(row.Amplification?.HostFlushesPerGuestFlush, "0.00")),
        new("BARRIERS", row => Number(row.Amplification?.BarriersPerGuestFlush, "0.00"), DroppedAs: 3),
        new("BYTES", row => Number(row.Amplification?.HostBytesPerGuestByte, "0.00×"), DroppedAs: 8),
        new("ZEROED", row => Number(row.Amplification?.ZeroedBytesPerGuestByte, "0.00×"), DroppedAs: 9),
    ];

    /// <summary>What comes before the first measurement.</summary>
    public static void WriteFacts(HostFacts host, IReadOnlyDictionary<string, string> versions, EvaluationPlan plan, CommandOutput output) => output.WriteFacts([
        .. host.Lines(),
        ("versions", string.Join(", ", versions.Select(version => $"{version.Key} {version.Value}"))),
        ("measured", $"scale {plan.Scale.ToString().ToLowerInvariant()}, {plan.Rounds} rounds; devices: {string.Join(", ", plan.Regimes.Select(regime => regime == DeviceRegime.AsIs ? "as is" : $"each flush {Pipelines.Quantities.FormatDuration(plan.SlowFlush)} longer"))}"),
    ]);

    /// <summary>The tables of a place in a regime.</summary>
    public static void WriteResults(Place place, DeviceRegime regime, IReadOnlyList<EvaluationRow> rows, CommandOutput output)
    {
        if (rows.Count == 0) return;
        var table = new FittedTable<EvaluationRow>("WHO", row => row.Contender, row => place.Contenders.Any(contender => contender.IsReference && contender.Name == row.Contender), s_columns);
        TableColumn<EvaluationRow>[] shown = table.Fitting(rows, FittedTable<EvaluationRow>.Room(output));
        output.WriteLine();
        output.WriteLine($"== {place.Name}{(regime == DeviceRegime.SlowFlush ? ", slow flush" : "")}: {place.Description}");
        if (place.IsMatrix)
        {
            WriteMatrix(rows, output);
            return;
        }

        foreach (IGrouping<string, EvaluationRow> workload in rows.GroupBy(row => row.Workload))
        {
            WorkloadFacts facts = place.Workloads.First(each => each.Name == workload.Key).Facts;
            output.WriteLine();
            output.WriteLine($"{facts.Name}: {facts.Definition}. An operation: {facts.Operation}.");
            table.Write(shown, [.. workload], rows, output);
        }

        table.WriteDropped(shown, output);
    }

    /// <summary>What comes after the last one.</summary>
    public static void WriteSummary(EvaluationReport report, CommandOutput output)
    {
        foreach (IGrouping<(EvaluationPlace Place, DeviceRegime Regime), EvaluationRow> part in report.Rows.GroupBy(row => (row.Place, row.Regime))) WriteSpeedUps(part.Key.Place, part.Key.Regime, [.. part], output);
        WritePapers(report.Papers, output);
        output.WriteLine();
        foreach (string note in report.Notes) output.WriteLine(note);
        output.WriteLine("SPEED-UP: rate in terms of the reference's, median of the rounds' ratios; above 1 is faster. SPREAD: (largest − smallest) / median of the rounds' rates.");
        output.WriteLine("GUEST FL: flushes that reach the disk, an operation. HOST FL, BARRIERS: of the host's storage, a guest flush. BYTES: written by the host for each byte that reaches the disk; ZEROED: zeros written ahead of use, besides.");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"took {report.TookSeconds:0} s{(report.IsInterrupted ? ", INTERRUPTED: only the rounds that were whole" : "")}"));
    }

    // One line a cell, one column a contender.
    private static void WriteMatrix(IReadOnlyList<EvaluationRow> rows, CommandOutput output)
    {
        var table = new FittedTable<IGrouping<string, EvaluationRow>>("MiB/s", group => group.Key, _ => false, [.. rows.Select(row => row.Contender).Distinct().Select(contender => new TableColumn<IGrouping<string, EvaluationRow>>(
            contender, group => Number(group.FirstOrDefault(row => row.Contender == contender)?.BytesPerSecond / MiB, "0")))]);
        IGrouping<string, EvaluationRow>[] groups = [.. rows.GroupBy(row => row.Workload)];
        table.Write(table.Fitting(groups, int.MaxValue), groups, groups, output);
    }

    // One line a workload, one column a contender.
    private static void WriteSpeedUps(EvaluationPlace place, DeviceRegime regime, IReadOnlyList<EvaluationRow> rows, CommandOutput output)
    {
        string[] contenders = [.. rows.Where(row => row.SpeedUp is not null).Select(row => row.Contender).Distinct()];
        if (contenders.Length < 2) return;
        output.WriteLine();
        output.WriteLine($"speed-up, {Words(place)}{(regime == DeviceRegime.SlowFlush ? ", slow flush" : "")}:");
        var table = new FittedTable<IGrouping<string, EvaluationRow>>("WORKLOAD", group => group.Key, _ => false, [.. contenders.Select(contender => new TableColumn<IGrouping<string, EvaluationRow>>(
            contender, group => Number(group.FirstOrDefault(row => row.Contender == contender)?.SpeedUp, "0.00"),
            group => group.FirstOrDefault(row => row.Contender == contender)?.SpeedUp switch { null or 1 => null, > 1 => Cell.Good, _ => Cell.Bad }))]);
        IGrouping<string, EvaluationRow>[] groups = [.. rows.GroupBy(row => row.Workload)];
        table.Write(table.Fitting(groups, int.MaxValue), groups, groups, output);
    }

    private static void WritePapers(IReadOnlyList<PaperFigure> papers, CommandOutput output)
    {
        if (papers.All(figure => figure.OurChangePercent is null)) return;
        output.WriteLine();
        output.WriteLine("the papers' figures beside ours:");
        foreach (IGrouping<string, PaperFigure> paper in papers.GroupBy(figure => figure.Paper))
        {
            output.WriteLine($"  {paper.Key}");
            foreach (PaperFigure figure in paper)
            {
                string range = figure.OurRange is { } interval ? $" ({Signed(interval.Smallest)} to {Signed(interval.Largest)})" : "";
                output.WriteLine($"    {figure.Workload}, {figure.Claim}: paper {Signed(figure.PaperChangePercent)}; {figure.Ours}: {(figure.OurChangePercent is { } ours ? Signed(ours) + range : "not measured")}");
                if (figure.Why.Length > 0) output.WriteLine($"      {figure.Why}");
            }
        }
    }

    private static string Words(EvaluationPlace place) => place switch
    {
        EvaluationPlace.BlockDevice => "block device",
        EvaluationPlace.GuestFileSystem => "guest file system",
        EvaluationPlace.VirtualMachine => "virtual machine",
        _ => "file system in memory",
    };

    private static string Signed(double percent) => percent.ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture) + " %";

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "–";
}
