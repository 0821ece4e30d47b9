namespace StoragePlugins.BarrierOverheadBench;

/// <summary>What can be said of two series whose pieces were run in pairs.</summary>
internal static class PairedStatistics
{
    /// <summary>The papers' difference that is to be explained.</summary>
    public const double Questioned = 0.027;

    // Enough that the interval's ends are stable in the digits that are shown.
    private const int Resamples = 4000;

    // Two-sided 95 % confidence, found four times of five: the usual choice.
    private const double ConfidenceAndPower = 1.960 + 0.842;

    /// <summary>How much more throughput the one has than the other: the median of the pairs' ratios, with its 95 % bootstrap interval.</summary>
    /// <param name="seconds">Of the one, set after set.</param>
    /// <param name="baseline">Of the other.</param>
    /// <param name="setPieces">Pieces of a set of images. Sets are drawn first, then pairs of them: what an image's place on the device does, all of its pieces share.</param>
    public static Gain GainOf(double[] seconds, double[] baseline, int setPieces)
    {
        double[] ratios = [.. seconds.Zip(baseline, (own, its) => its / own)];
        int sets = ratios.Length / setPieces;
        var random = new Random(ratios.Length);
        double[] medians = new double[Resamples], sample = new double[ratios.Length];
        for (int i = 0; i < Resamples; i++)
        {
            for (int set = 0; set < sets; set++)
            {
                int drawn = random.Next(sets) * setPieces;
                for (int j = 0; j < setPieces; j++) sample[(set * setPieces) + j] = ratios[drawn + random.Next(setPieces)];
            }

            medians[i] = Median(sample);
        }

        Array.Sort(medians);
        return new Gain(Median(ratios) - 1, medians[(int)(Resamples * 0.025)] - 1, medians[(int)(Resamples * 0.975)] - 1);
    }

    /// <summary>The gain of each set alone: what somebody with one pair of images would have found.</summary>
    public static double[] GainsOfSets(double[] seconds, double[] baseline, int setPieces) =>
        [.. seconds.Chunk(setPieces).Zip(baseline.Chunk(setPieces), (own, its) => (its.Sum() / own.Sum()) - 1)];

    /// <summary>Pairs of pieces after which <see cref="Questioned"/> would be found four times of five, from the spread of the pairs' ratios.</summary>
    public static int PairsFor(double[] seconds, double[] baseline)
    {
        // The spread as the middle half shows it: one hiccup must not decide.
        double[] logs = [.. seconds.Zip(baseline, (own, its) => Math.Log(its / own)).Order()];
        double deviation = (logs[logs.Length * 3 / 4] - logs[logs.Length / 4]) / 1.349;
        // The median of normal values spreads π/2 times as far (in variance) as their mean.
        return (int)Math.Ceiling(Math.PI / 2 * Math.Pow(ConfidenceAndPower * deviation / Math.Log(1 + Questioned), 2));
    }

    /// <summary>The middle, or the mean of the two middle ones.</summary>
    public static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}

/// <summary>A gain of throughput; 0.05 is 5 %.</summary>
/// <param name="Median">Of the pairs.</param>
/// <param name="Low">The lower end of its 95 % interval.</param>
/// <param name="High">The upper end.</param>
internal readonly record struct Gain(double Median, double Low, double High);
