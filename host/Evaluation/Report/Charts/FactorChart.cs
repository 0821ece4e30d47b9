namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>Two factors to be compared.</summary>
/// <param name="Name">Of what.</param>
/// <param name="Theirs">As a factor: 1 is no change.</param>
/// <param name="Ours">Null when there is none.</param>
/// <param name="Range">Ours over the rounds.</param>
/// <param name="Label">Beside the name.</param>
/// <param name="TheirTip">When theirs is pointed at.</param>
/// <param name="OurTip">When ours is.</param>
internal sealed record FactorPair(string Name, double Theirs, double? Ours, Results.Interval? Range, string Label, string TheirTip, string OurTip);

/// <summary>Factors on a logarithmic axis around 1, theirs as a ring and ours as a disc: twice as fast is as far to the right as half as fast to the left.</summary>
internal static class FactorChart
{
    private const double RowHeight = 34;
    private const double TextBaseline = 12;
    private const double Middle = 22;
    private const double AxisHeight = 22;
    private const double CapHeight = 4;

    /// <summary>Writes it.</summary>
    public static void Write(MarkupWriter writer, string id, string title, IReadOnlyList<FactorPair> pairs)
    {
        var axis = new LogAxis(pairs.SelectMany(pair => (double[])[1, pair.Theirs, pair.Ours ?? 1, pair.Range?.Smallest ?? 1, pair.Range?.Largest ?? 1]));
        double bottom = pairs.Count * RowHeight;
        Chart.Write(writer, id, "factors", title, string.Join("; ", pairs.Select(pair => $"{pair.Name}: {pair.Label}")), bottom + AxisHeight, () =>
        {
            foreach (double tick in axis.Ticks)
            {
                double at = axis.At(tick);
                Chart.Line(writer, at, 0, at, bottom, tick == 1 ? "base" : "grid");
                Chart.Label(writer, Figures.Times(tick), at, bottom + 15, "tick", at < 0.04 ? "start" : at > 0.96 ? "end" : "middle");
            }

            for (int i = 0; i < pairs.Count; i++) WritePair(writer, pairs[i], axis, i * RowHeight);
        });
    }

    private static void WritePair(MarkupWriter writer, FactorPair pair, LogAxis axis, double top)
    {
        double middle = top + Middle;
        Chart.Label(writer, Chart.Shortened(pair.Name), 0, top + TextBaseline, "name");
        Chart.Label(writer, pair.Label, 1, top + TextBaseline, "value", "end");
        if (pair.Ours is { } ours && ours > 0)
        {
            Chart.Line(writer, axis.At(pair.Theirs), middle, axis.At(ours), middle, "link");
            using (Chart.Mark(writer, "ours", pair.OurTip))
            {
                if (pair.Range is { } range)
                {
                    Chart.Line(writer, axis.At(range.Smallest), middle, axis.At(range.Largest), middle, "whisker");
                    foreach (double end in (ReadOnlySpan<double>)[range.Smallest, range.Largest])
                        Chart.Line(writer, axis.At(end), middle - CapHeight, axis.At(end), middle + CapHeight, "whisker");
                }

                writer.Empty("circle", ("cx", Chart.Percent(axis.At(ours))), ("cy", Chart.Px(middle)), ("r", "5"));
            }
        }

        using (Chart.Mark(writer, "theirs", pair.TheirTip)) writer.Empty("circle", ("cx", Chart.Percent(axis.At(pair.Theirs))), ("cy", Chart.Px(middle)), ("r", "4.5"));
    }
}
