using System.Globalization;
using System.Text.Json.Nodes;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>A mounted directory (what <c>sphost mount</c> made) against ext4: small synchronous writes, and streaming.</summary>
internal sealed class MountComparison(string baseline, string directory, int rounds)
{
    private const long VolumeBytes = 2L << 30;
    private const double Mega = 1e6;

    private static readonly Cell s_small = new(16L << 20, 4 << 10);
    private static readonly Cell s_stream = new(256L << 20, 1 << 20);

    private static readonly (SyncMode Mode, Cell Cell, double Needed)[] s_targets =
        [(SyncMode.OSync, s_small, 3), (SyncMode.None, s_stream, 1), (SyncMode.FSync, s_stream, 1)];

    /// <summary>Measures and prints.</summary>
    public void Run(Scratch scratch, bool json, Action<string> progress, CancellationToken stop)
    {
        if (!Directory.Exists(directory)) throw new BenchException($"there is no directory {directory}");
        MachineFacts machine = MachineFacts.Read();
        progress("making ext4 on a RAM disk");
        using Ext4 ext4 = Ext4.Make(baseline, scratch, VolumeBytes);
        using var mount = new DirectoryVolume("mount", directory);
        var run = new MatrixRun([ext4.Volume, mount], rounds, progress);
        run.Run([.. s_targets.Select(target => (target.Mode, target.Cell))], stop);
        var figures = new MatrixFigures(run.Figures, [SyncMode.OSync], [s_small], ext4.Volume.Name, mount.Name, mount.Name);
        string[] head = [machine.ToString(), $"baseline: {ext4.Description}", $"mount: {FileSystemOf(directory)}", "DRAM stands in for persistent memory: nothing here survives a power cut."];
        if (json) Console.WriteLine(ToJson(figures, head));
        else WriteText(figures, head, Console.Out);
    }

    private static void WriteText(MatrixFigures figures, string[] head, TextWriter output)
    {
        foreach (string line in head) output.WriteLine(line);
        output.WriteLine();
        output.WriteLine($"{"MB/s (10^6)",-50}{figures.BaselineName,18}{figures.SubjectName,18}   ratio");
        foreach ((SyncMode mode, Cell cell, double needed) in s_targets)
        {
            foreach (Pass pass in Enum.GetValues<Pass>())
            {
                var setting = new Setting(mode, pass, cell);
                string verdict = pass == Pass.Write ? $"   {(figures.Ratio(setting) >= needed ? "pass" : "MISS")}, needed {needed:0}x" : "";
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Title(setting),-50}{Rate(figures, setting, figures.BaselineName),18}{Rate(figures, setting, figures.SubjectName),18}{figures.Ratio(setting),8:0.00}{verdict}"));
            }
        }
    }

    private static string ToJson(MatrixFigures figures, string[] head)
    {
        var rows = new JsonArray();
        foreach ((SyncMode mode, Cell cell, double needed) in s_targets)
        {
            foreach (Pass pass in Enum.GetValues<Pass>())
            {
                var setting = new Setting(mode, pass, cell);
                rows.Add(new JsonObject
                {
                    ["mode"] = MatrixFigures.Name(mode),
                    ["pass"] = MatrixFigures.Name(pass),
                    ["fileBytes"] = cell.FileBytes,
                    ["recordBytes"] = cell.RecordBytes,
                    ["baselineBytesPerSecond"] = figures.Baseline(setting),
                    ["bytesPerSecond"] = figures.Subject(setting),
                    ["ratio"] = figures.Ratio(setting),
                    ["needed"] = pass == Pass.Write ? needed : null,
                });
            }
        }

        return new JsonObject { ["head"] = new JsonArray([.. head.Select(line => JsonValue.Create(line))]), ["rows"] = rows }.ToString();
    }

    private static string Title(Setting setting) =>
        $"{MatrixReport.Size(setting.Cell.RecordBytes)} records of {MatrixReport.Size(setting.Cell.FileBytes)}, {MatrixFigures.Name(setting.Pass)}, {MatrixFigures.Name(setting.Mode)}";

    private static string Rate(MatrixFigures figures, Setting setting, string volume)
    {
        IReadOnlyList<double> rounds = figures.Rounds(setting, volume);
        return string.Create(CultureInfo.InvariantCulture, $"{Statistics.Median([.. rounds]) / Mega:0} ±{Statistics.Spread([.. rounds]) * 100:0}%");
    }

    // The mount point with the longest path that leads there.
    private static string FileSystemOf(string directory)
    {
        string path = Path.GetFullPath(directory);
        string[]? mount = File.ReadLines("/proc/mounts").Select(line => line.Split(' '))
            .Where(fields => fields[1] == "/" || path == fields[1] || path.StartsWith(fields[1] + "/", StringComparison.Ordinal))
            .MaxBy(fields => fields[1].Length);
        return mount is null ? path : $"{path}: {mount[2]} ({mount[0]}, {mount[3]})";
    }
}
