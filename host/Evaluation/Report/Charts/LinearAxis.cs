namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>An axis from zero, for bars: their lengths are in proportion.</summary>
internal sealed class LinearAxis
{
    // Labels of ten letters still stand apart on a phone.
    private const int MostSteps = 4;

    private readonly double _largest;

    /// <summary>An axis that ends at the largest value.</summary>
    /// <param name="values">What will be drawn; those that are no numbers, or below zero, are not.</param>
    public LinearAxis(IEnumerable<double> values)
    {
        double largest = values.Where(double.IsFinite).DefaultIfEmpty(0).Max();
        // Of nothing but zeros: any axis will do.
        _largest = largest > 0 ? largest : 1;
        double step = StepFor(_largest / MostSteps);
        var ticks = new List<double>();
        for (int i = 0; i <= MostSteps && i * step <= _largest; i++) ticks.Add(i * step);
        Ticks = ticks;
    }

    /// <summary>Round values, zero first, at most five.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>Where a value stands: 0 at zero, 1 at the axis' end.</summary>
    public double At(double value) => Math.Clamp(value / _largest, 0, 1);

    // The smallest of 1, 2, 2.5 and 5 times a power of ten that is no smaller.
    private static double StepFor(double least)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(least)));
        // Below the smallest normal number there is no power to be had; such values are zero to any reader.
        if (power == 0) return least;
        foreach (double factor in (ReadOnlySpan<double>)[1, 2, 2.5, 5])
        {
            if (factor * power >= least) return factor * power;
        }

        return 10 * power;
    }
}
