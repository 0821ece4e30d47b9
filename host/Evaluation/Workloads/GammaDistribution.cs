namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Gamma-distributed numbers, as Filebench draws file sizes from: by Marsaglia and Tsang, ACM TOMS 26(3), 2000.</summary>
/// <param name="mean">Mean.</param>
/// <param name="shape">Filebench's gamma divided by 1000; at least 1.</param>
/// <param name="random">Source.</param>
internal sealed class GammaDistribution(double mean, double shape, Random random)
{
    private readonly double _d = shape - (1 / 3.0);
    private readonly double _c = 1 / Math.Sqrt(9 * (shape - (1 / 3.0)));

    /// <summary>The next one.</summary>
    public double Next()
    {
        while (true)
        {
            double x = Normal(), v = 1 + (_c * x);
            if (v <= 0) continue;
            v = v * v * v;
            if (Math.Log(1 - random.NextDouble()) < (0.5 * x * x) + _d - (_d * v) + (_d * Math.Log(v))) return _d * v * mean / shape;
        }
    }

    // Box and Muller.
    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
