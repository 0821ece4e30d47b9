using StoragePlugins.Host.Evaluation.Report.Charts;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>The papers' figures beside ours.</summary>
internal static class PapersSection
{
    /// <summary>Writes it.</summary>
    public static void Write(MarkupWriter writer, IReadOnlyList<PaperFigure> papers)
    {
        if (papers.Count == 0) return;
        using (writer.In("section", ("id", "papers")))
        {
            writer.Element("h2", "The papers’ figures beside ours");
            writer.Element("p", "Changes in throughput; the ratio is what ours comes to in terms of theirs, (100 + ours) / (100 + theirs).", ("class", "about"));
            int index = 0;
            using (writer.In("div", ("class", "charts wide")))
            {
                foreach (IGrouping<string, PaperFigure> paper in papers.GroupBy(figure => figure.Paper)) WriteChart(writer, $"p{++index}", paper.Key, [.. paper]);
            }

            WriteTable(writer, papers);
        }

        writer.Line();
    }

    /// <summary>A change as a factor; null for what has none on a logarithmic axis.</summary>
    internal static double? FactorOf(double? percent) => Figures.IsFigure(percent) && percent > -100 ? 1 + percent / 100 : null;

    private static void WriteChart(MarkupWriter writer, string id, string paper, IReadOnlyList<PaperFigure> figures)
    {
        FactorPair[] pairs = [.. from figure in figures
                                 let theirs = FactorOf(figure.PaperChangePercent)
                                 where theirs is not null
                                 select new FactorPair(
                                     figure.Workload, theirs.Value, FactorOf(figure.OurChangePercent), RangeOf(figure.OurRange),
                                     $"{Figures.Change(figure.PaperChangePercent)} → {Figures.Change(figure.OurChangePercent)}",
                                     $"{paper}: {figure.Workload}, {figure.Claim}: {Figures.Change(figure.PaperChangePercent)}",
                                     $"Here: {figure.Ours}: {Figures.Change(figure.OurChangePercent)}")];
        if (pairs.Length == 0) return;
        using (writer.In("figure"))
        {
            using (writer.In("figcaption"))
            {
                writer.Text(paper + ": ");
                writer.Element("span", "○ theirs", ("class", "key theirs"));
                writer.Text(" → ");
                writer.Element("span", "● ours", ("class", "key ours"));
            }

            FactorChart.Write(writer, id, $"{paper}: the paper’s factor and ours", pairs);
        }
    }

    private static Interval? RangeOf(Interval? percent)
        => FactorOf(percent?.Smallest) is { } smallest && FactorOf(percent?.Largest) is { } largest ? new Interval(smallest, largest) : null;

    private static void WriteTable(MarkupWriter writer, IReadOnlyList<PaperFigure> papers) => ReportTable.Write(
        writer,
        "Each figure of the papers, ours, and why they differ",
        [
            new("Workload"), new("Paper"), new("Compared"), new("Theirs", true), new("Ours", true), new("Ours, range", true, "over the rounds"),
            new("Ratio", true, "(100 + ours) / (100 + theirs)"), new("Measured here as"), new("Why they differ"),
        ],
        papers.Select(figure => (IReadOnlyList<TableCell>)[
            figure.Workload, figure.Paper, figure.Claim,
            TableCell.Of(figure.PaperChangePercent, Figures.Change),
            figure.OurChangePercent is null ? new TableCell("not measured") : TableCell.Of(figure.OurChangePercent, Figures.Change),
            figure.OurRange is { } range ? new TableCell($"{Figures.Change(range.Smallest)} … {Figures.Change(range.Largest)}", range.Smallest) : Figures.None,
            TableCell.Of(FactorOf(figure.OurChangePercent) / FactorOf(figure.PaperChangePercent), Figures.Times),
            figure.Ours, new TableCell(figure.Why.Length > 0 ? figure.Why : "they agree within the spread", Kind: "prose")]),
        "papers");
}
