namespace StoragePlugins.PmFileSystemBench;

/// <summary>One figure that the file system is to reach.</summary>
/// <param name="What">In words.</param>
/// <param name="Needed">At least this.</param>
/// <param name="Reached">Measured.</param>
/// <param name="Unit">Of both.</param>
/// <param name="Note">What else to know.</param>
internal sealed record Target(string What, double Needed, double Reached, string Unit, string Note = "")
{
    public bool IsMet => Reached >= Needed;
}

/// <summary>The targets of the file system, against what was measured.</summary>
internal static class Targets
{
    private const int SmallRecord = 4 << 10;
    private const int LargeRecord = 1 << 20;
    private const double Giga = 1e9;

    /// <param name="figures">The run's.</param>
    public static IReadOnlyList<Target> Of(MatrixFigures figures)
    {
        List<Target> targets = [];
        AddMean(figures, targets, SyncMode.None, Pass.Write, 5);
        AddMean(figures, targets, SyncMode.None, Pass.Rewrite, 1.2);
        AddMean(figures, targets, SyncMode.FSync, Pass.Write, 15);
        AddMean(figures, targets, SyncMode.OSync, Pass.Write, 80);
        foreach (SyncMode mode in figures.Modes) AddWorst(figures, targets, mode);
        if (figures.Modes.Contains(SyncMode.None))
        {
            foreach (Pass pass in (Pass[])[Pass.Write, Pass.Rewrite, Pass.RandomWrite]) AddRecords(figures, targets, pass);
        }

        return targets;
    }

    private static void AddMean(MatrixFigures figures, List<Target> targets, SyncMode mode, Pass pass, double needed)
    {
        if (figures.Modes.Contains(mode))
            targets.Add(new Target($"{MatrixFigures.Name(pass)}, {MatrixFigures.Name(mode)}: geometric mean", needed, figures.MeanRatio(mode, pass, figures.Cells), "x"));
    }

    private static void AddWorst(MatrixFigures figures, List<Target> targets, SyncMode mode)
    {
        Cell worst = figures.Cells.MinBy(cell => figures.Ratio(new Setting(mode, Pass.Write, cell)));
        targets.Add(new Target(
            $"write, {MatrixFigures.Name(mode)}: every cell", 1.5, figures.Ratio(new Setting(mode, Pass.Write, worst)), "x",
            $"the worst: {MatrixReport.Size(worst.FileBytes)} files, {MatrixReport.Size(worst.RecordBytes)} records"));
    }

    private static void AddRecords(MatrixFigures figures, List<Target> targets, Pass pass)
    {
        Setting[] small = figures.Settings(SyncMode.None, pass, SmallRecord), large = figures.Settings(SyncMode.None, pass, LargeRecord);
        targets.Add(new Target(
            $"{MatrixFigures.Name(pass)}, 4K records: rate (median of the file sizes)", 10, Statistics.Median([.. small.Select(figures.Subject)]) / Giga, "GB/s",
            $"streaming copy: {Statistics.Median([.. small.Select(figures.Limit)]) / Giga:0.0} GB/s"));
        targets.Add(new Target(
            $"{MatrixFigures.Name(pass)}, 1M records: part of streaming copy (geometric mean)", 85,
            100 * Statistics.GeometricMean([.. large.Select(setting => figures.Subject(setting) / figures.Limit(setting))]), "%",
            $"{Statistics.Median([.. large.Select(figures.Subject)]) / Giga:0.0} of {Statistics.Median([.. large.Select(figures.Limit)]) / Giga:0.0} GB/s"));
    }
}
