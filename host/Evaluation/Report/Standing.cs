using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>Whether somebody is faster than the reference, as far as the rounds can tell.</summary>
internal enum Verdict
{
    /// <summary>Some rounds say this, others that.</summary>
    Even = 0,

    /// <summary>Faster in every round.</summary>
    Faster,

    /// <summary>Slower in every round.</summary>
    Slower,
}

/// <summary>How a contender stands against the references over all workloads.</summary>
/// <param name="Contender">Whose.</param>
/// <param name="Compared">Its rows that have a reference.</param>
internal sealed record Standing(string Contender, IReadOnlyList<EvaluationRow> Compared)
{
    // One round says nothing of how far rounds lie apart; this is what they commonly do.
    private const double SpreadOfOneRound = 0.05;

    /// <summary>Rows in which it was faster.</summary>
    public int Faster => Compared.Count(row => VerdictOf(row) == Verdict.Faster);

    /// <summary>Rows in which nothing can be said.</summary>
    public int Even => Compared.Count(row => VerdictOf(row) == Verdict.Even);

    /// <summary>Rows in which it was slower.</summary>
    public int Slower => Compared.Count(row => VerdictOf(row) == Verdict.Slower);

    /// <summary>Geometric mean of its speed-ups: the one mean of ratios that is the same whoever is the reference.</summary>
    public double Typical => Math.Exp(Compared.Average(row => Math.Log(row.SpeedUp.GetValueOrDefault())));

    /// <summary>Its largest.</summary>
    public EvaluationRow Best => Compared.MaxBy(row => row.SpeedUp)!;

    /// <summary>Its smallest.</summary>
    public EvaluationRow Worst => Compared.MinBy(row => row.SpeedUp)!;

    /// <summary>What the rounds say of a row.</summary>
    public static Verdict VerdictOf(EvaluationRow row)
    {
        double speedUp = row.SpeedUp.GetValueOrDefault(1);
        (double smallest, double largest) = row is { SpeedUpRange: { } range, Rounds.Count: > 1 }
            ? (range.Smallest, range.Largest)
            : (speedUp * (1 - SpreadOfOneRound), speedUp * (1 + SpreadOfOneRound));
        return smallest > 1 ? Verdict.Faster : largest < 1 ? Verdict.Slower : Verdict.Even;
    }

    /// <summary>Whether a row can be compared: it has a speed-up that has a logarithm.</summary>
    public static bool IsCompared(EvaluationRow row) => row.SpeedUp is > 0 && Figures.IsFigure(row.SpeedUp);
}
