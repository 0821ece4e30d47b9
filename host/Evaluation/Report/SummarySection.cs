using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>Who is faster, and by how much.</summary>
internal static class SummarySection
{
    // Where the shades of the grids begin. Equally far apart on a logarithmic scale, as ratios are.
    private static readonly double[] s_shades = [1.5, 2.5, 5];

    /// <summary>Writes it.</summary>
    public static void Write(MarkupWriter writer, ReportContents contents)
    {
        using (writer.In("section", ("id", "summary")))
        {
            writer.Element("h2", "Who is faster, and by how much");
            if (contents.Leading is { } leading)
            {
                WriteHeadline(writer, contents, leading);
                WriteStandings(writer, contents);
                WriteLegend(writer);
            }
            else writer.Element("p", contents.Report.Rows.Count == 0 ? "Nothing was measured." : "No reference was measured, so nothing is compared; the rates stand below.", ("class", "lead"));

            foreach (IGrouping<EvaluationPlace, ReportSection> place in contents.Sections.GroupBy(section => section.Place)) WriteGrid(writer, contents, place.Key, [.. place]);
        }

        writer.Line();
    }

    private static void WriteHeadline(MarkupWriter writer, ReportContents contents, Standing leading)
    {
        int all = leading.Compared.Count;
        using (writer.In("p", ("class", "lead")))
        {
            writer.Element("strong", leading.Contender);
            writer.Text($"{(contents.IsDefault(leading.Contender) ? ", the default," : "")} is faster than its reference in every round of {leading.Faster} of {all} comparisons and slower in every round of {leading.Slower}; in {leading.Even} rounds disagree.");
        }

        using (writer.In("div", ("class", "tiles")))
        {
            WriteTile(writer, Figures.Times(leading.Typical), "typically", "geometric mean of all its comparisons");
            WriteTile(writer, Figures.Times(leading.Best.SpeedUp), "at best", $"{contents.TitleOf(leading.Best.Workload)}, {contents.Where(leading.Best)}");
            WriteTile(writer, Figures.Times(leading.Worst.SpeedUp), "at worst", $"{contents.TitleOf(leading.Worst.Workload)}, {contents.Where(leading.Worst)}");
        }

        writer.Line();
    }

    private static void WriteTile(MarkupWriter writer, string figure, string what, string where)
    {
        using (writer.In("div", ("class", "tile")))
        {
            writer.Element("b", figure);
            writer.Element("span", what);
            writer.Element("small", where);
        }
    }

    private static void WriteStandings(MarkupWriter writer, ReportContents contents) => ReportTable.Write(
        writer,
        "Every pipeline against the reference of each place",
        [
            new("Pipeline"), new("Faster", true, "comparisons in which it was faster in every round"), new("Even", true, "comparisons in which rounds disagree"),
            new("Slower", true, "comparisons in which it was slower in every round"), new("Typically", true, "geometric mean of the speed-ups"),
            new("Best", true), new("where"), new("Worst", true), new("where"),
        ],
        contents.Standings.Select(standing => (IReadOnlyList<TableCell>)[
            standing.Contender, Count(standing.Faster), Count(standing.Even), Count(standing.Slower), TableCell.Of(standing.Typical, Figures.Times),
            TableCell.Of(standing.Best.SpeedUp, Figures.Times), WhereOf(contents, standing.Best), TableCell.Of(standing.Worst.SpeedUp, Figures.Times), WhereOf(contents, standing.Worst)]));

    private static TableCell Count(int count) => new(Figures.Count(count), count);

    private static TableCell WhereOf(ReportContents contents, EvaluationRow row) => new(contents.TitleOf(row.Workload), Kind: "where", Detail: contents.Where(row));

    private static void WriteLegend(MarkupWriter writer)
    {
        using (writer.In("p", ("class", "legend scale")))
        {
            writer.Text("Speed-up in throughput, median of the rounds, and below it the rounds' range. ");
            foreach ((string kind, string label) in ((string, string)[])[
                ("slow3", "▼ below 0.40×"), ("slow2", "▼ 0.40×"), ("slow1", "▼ slower"), ("even", "≈ rounds disagree"),
                ("fast1", "▲ faster"), ("fast2", "▲ 1.50×"), ("fast3", "▲ 2.50×"), ("fast4", "▲ from 5×")])
                writer.Element("span", label, ("class", "key " + kind));
        }

        writer.Line();
    }

    private static void WriteGrid(MarkupWriter writer, ReportContents contents, EvaluationPlace place, IReadOnlyList<ReportSection> sections)
    {
        EvaluationRow[] rows = [.. sections.SelectMany(section => section.Workloads).SelectMany(workload => workload.Rows)];
        string? baseline = contents.BaselineOf(rows);
        if (baseline is null) return;
        string[] contenders = [.. rows.Select(row => row.Contender).Distinct().Where(contender => contender != baseline).OrderBy(contents.OrderOf)];
        bool hasRegimes = sections.Count > 1;
        IEnumerable<TableColumn> columns = [new("Workload"), .. hasRegimes ? [new("Device")] : (TableColumn[])[], .. contenders.Select(contender => new TableColumn(contender, true))];
        ReportTable.Write(
            writer,
            $"{Capitalized(ReportContents.PlaceInWords(place))}: throughput against {baseline}{(hasRegimes ? "" : $", {contents.RegimeInWords(sections[0].Regime)}")}",
            [.. columns],
            from section in sections
            from workload in section.Workloads
            select (IReadOnlyList<TableCell>)[
                new TableCell(workload.Workload.Title, Target: workload.Id),
                .. hasRegimes ? [contents.RegimeInWords(section.Regime)] : (TableCell[])[],
                .. contenders.Select(contender => SpeedUpCell(workload.Rows.FirstOrDefault(row => row.Contender == contender)))],
            "speedups");
    }

    /// <summary>A speed-up with its colour, and a sign that says the same.</summary>
    internal static TableCell SpeedUpCell(EvaluationRow? row)
    {
        if (row is null || !Standing.IsCompared(row)) return Figures.None;
        double speedUp = row.SpeedUp.GetValueOrDefault();
        (string sign, string kind) = Standing.VerdictOf(row) switch
        {
            Verdict.Faster => ("▲", $"fast{1 + s_shades.Count(shade => speedUp >= shade)}"),
            Verdict.Slower => ("▼", $"slow{1 + s_shades.Take(2).Count(shade => 1 / speedUp >= shade)}"),
            _ => ("≈", "even"),
        };
        return new TableCell($"{sign} {Figures.Times(speedUp)}", speedUp, kind, Detail: row.SpeedUpRange is null ? null : Figures.Times(row.SpeedUpRange));
    }

    /// <summary>For the beginning of a sentence.</summary>
    internal static string Capitalized(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..];
}
