using StoragePlugins.Host.Evaluation.Report.Charts;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>One place and regime: a card for each workload, with its charts and its figures.</summary>
internal static class WorkloadSection
{
    // A matrix of many cells (IOzone's has dozens) is read in the summary's grid; its cards are opened one by one.
    private const int MostOpenCards = 12;

    // Below it a byte rate says less than the rate of operations.
    private const long SmallestPayload = 4096;

    /// <summary>Writes it.</summary>
    public static void Write(MarkupWriter writer, ReportContents contents, ReportSection section)
    {
        using (writer.In("section", ("id", section.Id)))
        {
            writer.Element("h2", TitleOf(contents, section));
            writer.Element("p", ReportContents.PlaceExplained(section.Place), ("class", "about"));
            foreach (WorkloadRows workload in section.Workloads) WriteCard(writer, contents, section, workload, section.Workloads.Count <= MostOpenCards);
        }

        writer.Line();
    }

    /// <summary>"In a guest file system, device as it is".</summary>
    internal static string TitleOf(ReportContents contents, ReportSection section)
        => SummarySection.Capitalized($"{ReportContents.PlaceInWords(section.Place)}, {contents.RegimeInWords(section.Regime)}");

    private static void WriteCard(MarkupWriter writer, ReportContents contents, ReportSection section, WorkloadRows workload, bool isOpen)
    {
        using (writer.In("details", ("class", "card"), ("id", workload.Id), ("open", isOpen ? "" : null)))
        {
            using (writer.In("summary")) writer.Element("h3", workload.Workload.Title);
            if (workload.Workload.Definition.Length > 0) writer.Element("p", workload.Workload.Definition, ("class", "about"));
            if (workload.Workload.Operation.Length > 0) writer.Element("p", $"One operation: {workload.Workload.Operation}", ("class", "about"));
            using (writer.In("div", ("class", "charts")))
            {
                WriteThroughput(writer, contents, workload);
                WriteLatency(writer, contents, workload);
                WriteAmplification(writer, contents, workload);
            }

            WriteTable(writer, contents, $"{workload.Workload.Title}, {ReportContents.PlaceInWords(section.Place)}, {contents.RegimeInWords(section.Regime)}", workload.Rows);
        }

        writer.Line();
    }

    private static void WriteThroughput(MarkupWriter writer, ReportContents contents, WorkloadRows workload)
    {
        bool inBytes = workload.Rows.All(row => row.BytesPerSecond is not null && row.Rounds.All(round => round.Bytes >= round.Operations * SmallestPayload));
        Func<double?, string> format = inBytes ? Figures.BytesPerSecond : Figures.OperationsPerSecond;
        Bar[] bars = [.. workload.Rows.Select(row =>
        {
            double value = inBytes ? row.BytesPerSecond.GetValueOrDefault() : row.OperationsPerSecond;
            double[] rounds = [.. row.Rounds.Select(round => inBytes ? round.Bytes.GetValueOrDefault() / round.Seconds : round.OperationsPerSecond)];
            string speedUp = Standing.IsCompared(row) ? $"{Figures.Times(row.SpeedUp)} · " : "";
            string tip = $"{row.Contender}: {format(value)}, the median of {string.Join(", ", rounds.Select(round => format(round)))}";
            return new Bar(row.Contender, contents.StyleOf(row.Contender), value, speedUp + format(value), tip, rounds);
        })];
        using (writer.In("figure"))
        {
            writer.Element("figcaption", inBytes ? "Throughput" : "Operations a second");
            BarChart.Write(writer, workload.Id + "t", $"{workload.Workload.Title}: throughput", bars, value => inBytes ? Figures.BytesPerSecond(value) : Figures.Number(value));
        }
    }

    private static void WriteLatency(MarkupWriter writer, ReportContents contents, WorkloadRows workload)
    {
        LatencySeries[] series = [.. workload.Rows.Where(row => row.Latency is not null).Select(row => new LatencySeries(row.Contender, contents.StyleOf(row.Contender), row.Latency!))];
        if (series.Length == 0) return;
        using (writer.In("figure"))
        {
            writer.Element("figcaption", "Latency by percentile");
            using (writer.In("ul", ("class", "legend")))
            {
                foreach (LatencySeries each in series)
                {
                    using (writer.In("li"))
                    {
                        using (writer.In("svg", ("class", "swatch"), ("viewBox", "-14 -7 28 14"), ("aria-hidden", "true")))
                        using (writer.In("g", ("class", "mark " + each.Style.Class)))
                        {
                            writer.Empty("path", ("class", "curve " + each.Style.Class), ("d", "M-14 0H14"), ("stroke-dasharray", each.Style.Dash));
                            writer.Empty("path", ("d", each.Style.Shape));
                        }

                        writer.Text(each.Name);
                    }
                }
            }

            PercentileChart.Write(writer, workload.Id + "l", $"{workload.Workload.Title}: latency by percentile", series);
        }
    }

    private static void WriteAmplification(MarkupWriter writer, ReportContents contents, WorkloadRows workload)
    {
        EvaluationRow[] counted = [.. workload.Rows.Where(row => row.Amplification?.HostFlushesPerGuestFlush is not null)];
        if (counted.Length == 0) return;
        bool hasBarriers = counted.Any(row => row.Amplification!.BarriersPerGuestFlush > 0);
        Bar[] bars = [.. counted.Select(row =>
        {
            AmplificationFigures costs = row.Amplification!;
            double flushes = costs.HostFlushesPerGuestFlush.GetValueOrDefault();
            string label = Figures.Number(flushes) + (costs.BarriersPerGuestFlush > 0 ? $" + {Figures.Number(costs.BarriersPerGuestFlush)} barriers" : "");
            return new Bar(row.Contender, contents.StyleOf(row.Contender), flushes, label, $"{row.Contender}: {label} for each guest flush, counted by {costs.CountedBy}", [], costs.BarriersPerGuestFlush > 0 ? costs.BarriersPerGuestFlush : null);
        })];
        using (writer.In("figure"))
        {
            writer.Element("figcaption", hasBarriers ? "Host flushes for each guest flush (thin: barriers)" : "Host flushes for each guest flush");
            BarChart.Write(writer, workload.Id + "a", $"{workload.Workload.Title}: host flushes for each guest flush", bars, value => Figures.Number(value));
        }
    }

    private static void WriteTable(MarkupWriter writer, ReportContents contents, string caption, IReadOnlyList<EvaluationRow> rows)
    {
        bool hasLatency = rows.Any(row => row.Latency is not null);
        bool hasCosts = rows.Any(row => row.Amplification is not null);
        bool hasBytes = rows.Any(row => row.BytesPerSecond is not null);
        List<(TableColumn Column, Func<EvaluationRow, TableCell> Cell)> columns =
        [
            (new("Contender"), row => new TableCell(row.Contender, Kind: contents.IsReference(row.Contender) ? "reference" : null)),
            (new("Speed-up", true, "against the reference"), row => row.SpeedUp == 1 && contents.IsReference(row.Contender) ? new TableCell("reference", 1) : SummarySection.SpeedUpCell(row)),
            (new("Ops/s", true, "median of the rounds"), row => TableCell.Of(row.OperationsPerSecond, value => Figures.Number(value))),
        ];
        if (hasBytes) columns.Add((new("Payload", true, "median of the rounds; 1 MB is 10^6 bytes"), row => TableCell.Of(row.BytesPerSecond, Figures.BytesPerSecond)));
        columns.Add((new("Spread", true, "(largest − smallest) / median of the rounds"), row => TableCell.Of(row.Spread, Figures.Percent)));
        if (hasLatency)
        {
            columns.Add((new("p50", true, "latency that half of the operations did not exceed"), row => TableCell.Of(row.Latency?.P50, Figures.Microseconds)));
            columns.Add((new("p90", true), row => TableCell.Of(row.Latency?.P90, Figures.Microseconds)));
            columns.Add((new("p99", true), row => TableCell.Of(row.Latency?.P99, Figures.Microseconds)));
            columns.Add((new("p99.9", true), row => TableCell.Of(row.Latency?.P999, Figures.Microseconds)));
            columns.Add((new("Slowest", true), row => TableCell.Of(row.Latency?.Largest, Figures.Microseconds)));
        }

        if (hasCosts)
        {
            columns.Add((new("Guest flushes/op", true, "flushes that reached the disk"), row => TableCell.Of(row.Amplification?.GuestFlushesPerOperation, value => Figures.Number(value))));
            columns.Add((new("Host flushes", true, "for each guest flush"), row => TableCell.Of(row.Amplification?.HostFlushesPerGuestFlush, value => Figures.Number(value))));
            columns.Add((new("Barriers", true, "for each guest flush"), row => TableCell.Of(row.Amplification?.BarriersPerGuestFlush, value => Figures.Number(value))));
            columns.Add((new("Bytes", true, "written to the host's file for each byte of the guest, without zeros written ahead of use"), row => TableCell.Of(row.Amplification?.HostBytesPerGuestByte, Figures.Times)));
            columns.Add((new("Zeroed", true, "zeros written ahead of use for each byte of the guest"), row => TableCell.Of(row.Amplification?.ZeroedBytesPerGuestByte, Figures.Times)));
            columns.Add((new("Counted by"), row => new TableCell(row.Amplification?.CountedBy ?? Figures.None, Kind: "prose")));
        }

        ReportTable.Write(writer, caption, [.. columns.Select(column => column.Column)], rows.Select(row => (IReadOnlyList<TableCell>)[.. columns.Select(column => column.Cell(row))]));
    }
}
