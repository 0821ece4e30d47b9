namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>A logarithmic axis: equal ratios are equally long.</summary>
internal sealed class LogAxis
{
    // As many labels as stand apart on a chart of the report's height.
    private const int MostTicks = 8;

    // Beyond it, powers of ten leave the range of numbers.
    private const double Outermost = 1e300;

    private readonly double _from;
    private readonly double _to;

    /// <summary>An axis between round values around all that will be drawn.</summary>
    /// <param name="values">Those that are not above zero have no place on it.</param>
    public LogAxis(IEnumerable<double> values)
    {
        double[] drawable = [.. values.Where(value => double.IsFinite(value) && value > 0).Select(value => Math.Clamp(value, 1 / Outermost, Outermost))];
        double smallest = drawable.Length == 0 ? 1 : drawable.Min();
        double largest = drawable.Length == 0 ? 10 : drawable.Max();
        int lowest = (int)Math.Floor(Math.Log10(smallest));
        int highest = (int)Math.Ceiling(Math.Log10(largest));
        double[] steps = [.. from power in Enumerable.Range(lowest - 1, highest - lowest + 3) from factor in (double[])[1, 2, 5] select factor * Math.Pow(10, power)];
        double first = steps.Last(step => step <= smallest);
        double last = steps.First(step => step >= largest);
        // A single value stands in the middle.
        if (first == last) (first, last) = (first / 2, last * 2);
        (_from, _to) = (Math.Log10(first), Math.Log10(last));
        Ticks = Thinned([.. steps.Where(step => step >= first && step <= last)], lowest);
    }

    /// <summary>Round values in order, at most eight.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>Where a value stands: 0 at the axis' beginning, 1 at its end.</summary>
    public double At(double value) => value > 0 ? Math.Clamp((Math.Log10(value) - _from) / (_to - _from), 0, 1) : 0;

    // 1, 2 and 5 of each power; then the powers alone; then every other power, every third, ….
    private static double[] Thinned(double[] ticks, int firstPower)
    {
        if (ticks.Length <= MostTicks) return ticks;
        for (int every = 1; ; every++)
        {
            double[] kept = [.. ticks.Where(tick => IsPower(tick, out int power) && (power - firstPower) % every == 0)];
            if (kept.Length <= MostTicks) return kept;
        }
    }

    private static bool IsPower(double value, out int power)
    {
        power = (int)Math.Round(Math.Log10(value));
        return Math.Abs(value / Math.Pow(10, power) - 1) < 1e-9;
    }
}
