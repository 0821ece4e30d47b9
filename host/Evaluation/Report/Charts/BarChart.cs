namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>A bar.</summary>
/// <param name="Name">Whose.</param>
/// <param name="Style">How it looks.</param>
/// <param name="Value">Its length; none is drawn for what is not finite.</param>
/// <param name="Label">Beside its name.</param>
/// <param name="Tip">When pointed at.</param>
/// <param name="Rounds">Of which the value is the median: a dot each, and a whisker from the smallest to the largest.</param>
/// <param name="Second">A thin bar below it; null for none.</param>
internal sealed record Bar(string Name, ContenderStyle Style, double Value, string Label, string Tip, IReadOnlyList<double> Rounds, double? Second = null);

/// <summary>Horizontal bars, each below its name: names need not be short, and a bar has the whole width of a phone.</summary>
internal static class BarChart
{
    private const double RowHeight = 38;
    private const double TextBaseline = 12;
    private const double BarTop = 17;
    private const double BarHeight = 13;
    private const double SecondHeight = 4;
    private const double AxisHeight = 22;
    private const double CapHeight = 4;

    /// <summary>Writes it.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="id">Unique in the page.</param>
    /// <param name="title">What it shows.</param>
    /// <param name="bars">In order.</param>
    /// <param name="format">Of the axis' labels.</param>
    public static void Write(MarkupWriter writer, string id, string title, IReadOnlyList<Bar> bars, Func<double, string> format)
    {
        var axis = new LinearAxis(bars.SelectMany(bar => (double[])[bar.Value, bar.Second ?? 0, .. bar.Rounds]));
        double bottom = bars.Count * RowHeight;
        string description = string.Join("; ", bars.Select(bar => $"{bar.Name}: {bar.Label}"));
        Chart.Write(writer, id, "bars", title, description, bottom + AxisHeight, () =>
        {
            foreach (double tick in axis.Ticks)
            {
                double at = axis.At(tick);
                Chart.Line(writer, at, 0, at, bottom, tick == 0 ? "base" : "grid");
                Chart.Label(writer, format(tick), at, bottom + 15, "tick", tick == 0 ? "start" : at > 0.93 ? "end" : "middle");
            }

            for (int i = 0; i < bars.Count; i++) WriteBar(writer, bars[i], axis, i * RowHeight);
        });
    }

    private static void WriteBar(MarkupWriter writer, Bar bar, LinearAxis axis, double top)
    {
        Chart.Label(writer, Chart.Shortened(bar.Name), 0, top + TextBaseline, "name");
        Chart.Label(writer, bar.Label, 1, top + TextBaseline, "value", "end");
        if (!double.IsFinite(bar.Value)) return;
        using (Chart.Mark(writer, bar.Style.Class, bar.Tip))
        {
            writer.Empty("rect", ("class", "bar"), ("y", Chart.Px(top + BarTop)), ("width", Chart.Percent(axis.At(bar.Value))), ("height", Chart.Px(BarHeight)), ("rx", "2"));
            if (bar.Second is { } second && double.IsFinite(second))
                writer.Empty("rect", ("class", "second"), ("y", Chart.Px(top + BarTop + BarHeight)), ("width", Chart.Percent(axis.At(second))), ("height", Chart.Px(SecondHeight)));
            WriteRounds(writer, [.. bar.Rounds.Where(double.IsFinite)], axis, top + BarTop + BarHeight / 2);
        }
    }

    private static void WriteRounds(MarkupWriter writer, double[] rounds, LinearAxis axis, double middle)
    {
        if (rounds.Length == 0) return;
        double from = axis.At(rounds.Min());
        double to = axis.At(rounds.Max());
        if (rounds.Length > 1)
        {
            Chart.Line(writer, from, middle, to, middle, "whisker");
            Chart.Line(writer, from, middle - CapHeight, from, middle + CapHeight, "whisker");
            Chart.Line(writer, to, middle - CapHeight, to, middle + CapHeight, "whisker");
        }

        foreach (double round in rounds) writer.Empty("circle", ("class", "round"), ("cx", Chart.Percent(axis.At(round))), ("cy", Chart.Px(middle)), ("r", "2.5"));
    }
}
