using System.Globalization;
using System.Text;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>A contender's latencies.</summary>
/// <param name="Name">Whose.</param>
/// <param name="Style">How it looks.</param>
/// <param name="Latency">The figures.</param>
internal sealed record LatencySeries(string Name, ContenderStyle Style, LatencyFigures Latency);

/// <summary>Latency by percentile. Across, each step is ten times rarer (90 %, 99 %, 99.9 %, …), so that the tail is seen; upwards the latency, logarithmic.</summary>
internal static class PercentileChart
{
    private const double Top = 8;
    private const double PlotHeight = 196;
    private const double Bottom = Top + PlotHeight;
    private const double AxisHeight = 36;

    // The curves are drawn in a box of their own that is stretched to the chart's width.
    private const double CurveBox = 1000;

    // 99.9 % always has its place, so that charts can be compared.
    private const double FewestPowers = 3;

    /// <summary>Writes it.</summary>
    public static void Write(MarkupWriter writer, string id, string title, IReadOnlyList<LatencySeries> series)
    {
        List<(LatencySeries Of, List<LatencyPoint> Points)> curves = [.. series.Select(each => (each, LatencyPoint.CurveOf(each.Latency)))];
        double powers = Math.Max(FewestPowers, curves.SelectMany(curve => curve.Points).Select(point => point.Rareness).DefaultIfEmpty(0).Max());
        var axis = new LogAxis(curves.SelectMany(curve => curve.Points).Select(point => point.Microseconds));
        string description = string.Join("; ", series.Select(each => $"{each.Name}: median {Figures.Microseconds(each.Latency.P50)}, 99th percentile {Figures.Microseconds(each.Latency.P99)}"));
        Chart.Write(writer, id, "percentiles", title, description, Bottom + AxisHeight, () =>
        {
            WriteAxes(writer, axis, powers);
            using (writer.In("svg", ("y", Chart.Px(Top)), ("width", "100%"), ("height", Chart.Px(PlotHeight)), ("viewBox", "0 0 1000 1000"), ("preserveAspectRatio", "none")))
            {
                foreach ((LatencySeries of, List<LatencyPoint> points) in curves)
                    writer.Empty("path", ("class", "curve " + of.Style.Class), ("d", PathOf(points, axis, powers)), ("stroke-dasharray", of.Style.Dash), ("vector-effect", "non-scaling-stroke"));
            }

            foreach ((LatencySeries of, List<LatencyPoint> points) in curves) WriteMarks(writer, of, points, axis, powers);
        });
    }

    private static void WriteAxes(MarkupWriter writer, LogAxis axis, double powers)
    {
        foreach (double tick in axis.Ticks)
        {
            double y = Bottom - axis.At(tick) * PlotHeight;
            Chart.Line(writer, 0, y, 1, y, "grid");
            using (writer.In("text", ("x", "-6"), ("y", Chart.Px(y + 4)), ("class", "tick"), ("text-anchor", "end"))) writer.Text(Figures.Microseconds(tick));
        }

        WritePercentile(writer, Math.Log10(2) / powers, "50 %");
        for (int power = 1; power <= powers; power++) WritePercentile(writer, power / powers, PercentOf(power));
        Chart.Label(writer, "operations no slower than this", 0.5, Bottom + 31, "tick", "middle");
    }

    private static void WritePercentile(MarkupWriter writer, double at, string label)
    {
        Chart.Line(writer, at, Top, at, Bottom, "grid");
        Chart.Label(writer, label, at, Bottom + 16, "tick", at > 0.93 ? "end" : "middle");
    }

    // 1 is 90 %, 2 is 99 %, 3 is 99.9 %.
    private static string PercentOf(int power) => power == 1 ? "90 %" : power == 2 ? "99 %" : $"99.{new string('9', power - 2)} %";

    private static string PathOf(List<LatencyPoint> points, LogAxis axis, double powers)
    {
        var path = new StringBuilder();
        foreach (LatencyPoint point in points)
        {
            path.Append(CultureInfo.InvariantCulture, $"{(path.Length == 0 ? 'M' : 'L')}{point.Rareness / powers * CurveBox:0.#} {(1 - axis.At(point.Microseconds)) * CurveBox:0.#}");
        }

        return path.ToString();
    }

    private static void WriteMarks(MarkupWriter writer, LatencySeries of, List<LatencyPoint> points, LogAxis axis, double powers)
    {
        foreach (LatencyPoint point in points.Where(point => point.Label is not null))
        {
            using (Chart.Mark(writer, of.Style.Class, $"{of.Name}, {point.Label}: {Figures.Microseconds(point.Microseconds)}"))
                Chart.Shape(writer, of.Style, point.Rareness / powers, Bottom - axis.At(point.Microseconds) * PlotHeight);
        }
    }
}
