using System.Globalization;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation;

/// <summary>The second paper's two figures beside those of a run: over all cells of IOzone's write matrix, mean and best.</summary>
internal static class MemoryFigures
{
    private const string Paper = "Bahn: An Efficient Metadata Journaling Scheme for In-memory File Systems";
    private const double PaperMean = 49.2, PaperLargest = 131.5;

    /// <summary>For each of ours; those that were not measured stand without.</summary>
    public static IEnumerable<PaperFigure> Of(IReadOnlyList<EvaluationRow> rows)
    {
        // IOzone's own defaults, without -e, are the paper's.
        EvaluationRow[] cells = [.. rows.Where(row => row.Place == EvaluationPlace.MemoryFileSystem && !row.Workload.Contains("-e-", StringComparison.Ordinal))];
        string[] ours = [.. cells.Select(row => row.Contender).Distinct().Where(name => name != EvaluatedMemoryFileSystem.Ext4)];
        if (ours.Length == 0) ours = [new EvaluatedMemoryFileSystem(MemoryFileSystemKind.InProcess).Name];
        foreach (string contender in ours)
        {
            double[] changes = [.. cells.Where(row => row.Contender == contender && row.SpeedUp is not null).Select(row => (row.SpeedUp!.Value - 1) * 100)];
            string words = $"{contender} against {EvaluatedMemoryFileSystem.Ext4}, {changes.Length} cells of IOzone's write and rewrite, fsync not in the time";
            double? mean = changes.Length == 0 ? null : Math.Round(changes.Average(), 1), largest = changes.Length == 0 ? null : Math.Round(changes.Max(), 1);
            Interval? range = changes.Length == 0 ? null : new Interval(Math.Round(changes.Min(), 1), Math.Round(changes.Max(), 1));
            yield return new PaperFigure(Paper, "IOzone write scenarios, mean", "PM journaling against ext4 (ordered) on a RAM disk, throughput", PaperMean, words, mean, range, mean is null ? "" : Why(contender, cells, mean.Value));
            yield return new PaperFigure(Paper, "IOzone write scenarios, best cell", "PM journaling against ext4 (ordered) on a RAM disk, throughput", PaperLargest, words, largest, null, "");
        }
    }

    private static string Why(string contender, EvaluationRow[] cells, double mean)
    {
        double write = Mean(contender, cells, "iozone-write-"), rewrite = Mean(contender, cells, "iozone-rewrite-");
        string measured = string.Create(CultureInfo.InvariantCulture, $"Writes of new files: {write:+0;−0} %, rewrites: {rewrite:+0;−0} %");
        if (contender == new EvaluatedMemoryFileSystem(MemoryFileSystemKind.Mounted).Name)
            return $"{measured}: each write(2) is a request to another process by FUSE, which the paper's file system in the kernel does not pay.";
        return mean > PaperMean
            ? $"{measured}: the writer is in the file system's own address space and makes no system call, which the paper's does; a new file costs ext4 page cache and allocation besides."
            : $"{measured}: without fsync in the time a rewrite only copies into ext4's page cache, while every write of ours is durable when it returns.";
    }

    private static double Mean(string contender, EvaluationRow[] cells, string prefix)
        => cells.Where(row => row.Contender == contender && row.SpeedUp is not null && row.Workload.StartsWith(prefix, StringComparison.Ordinal)).Select(row => (row.SpeedUp!.Value - 1) * 100).DefaultIfEmpty(0).Average();
}
