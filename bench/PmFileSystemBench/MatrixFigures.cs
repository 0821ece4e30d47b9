namespace StoragePlugins.PmFileSystemBench;

/// <summary>What a run of the matrix measured.</summary>
/// <param name="rounds">Bytes per second of each round, by setting and volume.</param>
/// <param name="modes">Which were measured.</param>
/// <param name="cells">Which were measured.</param>
/// <param name="baseline">The volume that the others are compared with.</param>
/// <param name="subject">The volume that is on trial.</param>
/// <param name="limit">The volume that nobody can beat.</param>
internal sealed class MatrixFigures(
    IReadOnlyDictionary<(Setting Setting, string Volume), List<double>> rounds, IReadOnlyList<SyncMode> modes, IReadOnlyList<Cell> cells, string baseline, string subject, string limit)
{
    public IReadOnlyList<SyncMode> Modes => modes;

    public IReadOnlyList<Cell> Cells => cells;

    public string BaselineName => baseline;

    public string SubjectName => subject;

    public string LimitName => limit;

    public static string Name(SyncMode mode) => mode switch { SyncMode.None => "without fsync", SyncMode.FSync => "with fsync", _ => "O_SYNC" };

    public static string Name(Pass pass) => pass switch { Pass.Write => "write", Pass.Rewrite => "rewrite", _ => "random write" };

    public IReadOnlyList<double> Rounds(Setting setting, string volume) => rounds[(setting, volume)];

    public double Baseline(Setting setting) => Statistics.Median(rounds[(setting, baseline)]);

    public double Subject(Setting setting) => Statistics.Median(rounds[(setting, subject)]);

    public double Limit(Setting setting) => Statistics.Median(rounds[(setting, limit)]);

    public double Ratio(Setting setting) => Subject(setting) / Baseline(setting);

    public double MeanRatio(SyncMode mode, Pass pass, IReadOnlyCollection<Cell> among) =>
        Statistics.GeometricMean([.. among.Select(cell => Ratio(new Setting(mode, pass, cell)))]);

    /// <summary>All cells of one record size.</summary>
    public Setting[] Settings(SyncMode mode, Pass pass, int recordBytes) =>
        [.. cells.Where(cell => cell.RecordBytes == recordBytes).Select(cell => new Setting(mode, pass, cell))];
}
