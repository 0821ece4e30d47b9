using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>The matrix as tables, and as JSON.</summary>
internal sealed class MatrixReport(MatrixFigures figures, IReadOnlyList<string> head, IReadOnlyList<Target> targets, IReadOnlyList<string> tail)
{
    private const double Mega = 1e6;

    private static readonly Pass[] s_passes = Enum.GetValues<Pass>();

    /// <summary>64K, 16M.</summary>
    public static string Size(long bytes) => bytes >= 1 << 20 ? $"{bytes >> 20}M" : $"{bytes >> 10}K";

    public void WriteText(TextWriter output)
    {
        foreach (string line in head) output.WriteLine(line);
        foreach (SyncMode mode in figures.Modes) WriteMode(output, mode);
        WriteMeans(output);
        output.WriteLine();
        output.WriteLine("targets");
        foreach (Target target in targets) output.WriteLine(Line(target));
        foreach (string line in tail) output.WriteLine(line);
    }

    public JsonObject ToJson() => new()
    {
        ["head"] = new JsonArray([.. head.Select(line => JsonValue.Create(line))]),
        ["baseline"] = figures.BaselineName,
        ["subject"] = figures.SubjectName,
        ["limit"] = figures.LimitName,
        ["cells"] = new JsonArray([.. from mode in figures.Modes from pass in s_passes from cell in figures.Cells select Json(new Setting(mode, pass, cell))]),
        ["geometricMeanRatios"] = new JsonArray([.. from mode in figures.Modes
                                                    from pass in s_passes
                                                    select new JsonObject
                                                    {
                                                        ["mode"] = MatrixFigures.Name(mode),
                                                        ["pass"] = MatrixFigures.Name(pass),
                                                        ["ratio"] = figures.MeanRatio(mode, pass, figures.Cells),
                                                    }]),
        ["targets"] = new JsonArray([.. targets.Select(target => new JsonObject
        {
            ["what"] = target.What, ["needed"] = target.Needed, ["reached"] = target.Reached, ["unit"] = target.Unit, ["met"] = target.IsMet, ["note"] = target.Note,
        })]),
        ["notes"] = new JsonArray([.. tail.Select(line => JsonValue.Create(line))]),
    };

    private static string Line(Target target) => string.Create(
        CultureInfo.InvariantCulture,
        $"  {(target.IsMet ? "pass" : "MISS")}  {target.What,-66} {target.Reached,8:0.00} {target.Unit,-4} needed {target.Needed:0.##}{(target.Note.Length == 0 ? "" : $"   ({target.Note})")}");

    private void WriteMode(TextWriter output, SyncMode mode)
    {
        output.WriteLine();
        output.WriteLine($"{MatrixFigures.Name(mode)}: MB/s (10^6), median and half the spread of the rounds");
        var names = new StringBuilder(new string(' ', 14));
        var columns = new StringBuilder($"{"file",6}{"record",8}");
        foreach (Pass pass in s_passes)
        {
            names.Append(CultureInfo.InvariantCulture, $" | {MatrixFigures.Name(pass),-37}");
            columns.Append(CultureInfo.InvariantCulture, $" | {figures.BaselineName,9}      {figures.SubjectName,9}       ratio");
        }

        output.WriteLine(names.ToString().TrimEnd());
        output.WriteLine(columns);
        foreach (Cell cell in figures.Cells)
        {
            var line = new StringBuilder($"{Size(cell.FileBytes),6}{Size(cell.RecordBytes),8}");
            foreach (Pass pass in s_passes)
            {
                var setting = new Setting(mode, pass, cell);
                line.Append(" | ").Append(Rate(setting, figures.BaselineName)).Append(Rate(setting, figures.SubjectName))
                    .Append(CultureInfo.InvariantCulture, $"{figures.Ratio(setting),7:0.00}");
            }

            output.WriteLine(line);
        }
    }

    private void WriteMeans(TextWriter output)
    {
        Cell[] first = [.. figures.Cells.Intersect(Matrix.Quick)];
        output.WriteLine();
        output.WriteLine($"geometric means of {figures.SubjectName} / {figures.BaselineName}: all {figures.Cells.Count} cells, and the {first.Length} of them that are in the quick set");
        foreach (SyncMode mode in figures.Modes)
        {
            var line = new StringBuilder($"  {MatrixFigures.Name(mode),-14}");
            foreach (Pass pass in s_passes)
            {
                line.Append(CultureInfo.InvariantCulture, $" | {MatrixFigures.Name(pass),-12} {figures.MeanRatio(mode, pass, figures.Cells),7:0.00}x");
                if (first.Length > 0) line.Append(CultureInfo.InvariantCulture, $"  quick {figures.MeanRatio(mode, pass, first),7:0.00}x");
            }

            output.WriteLine(line);
        }
    }

    private string Rate(Setting setting, string volume)
    {
        IReadOnlyList<double> rounds = figures.Rounds(setting, volume);
        return string.Create(CultureInfo.InvariantCulture, $"{Statistics.Median([.. rounds]) / Mega,9:0} ±{Statistics.Spread([.. rounds]) * 100,3:0}%");
    }

    private JsonObject Json(Setting setting)
    {
        var cell = new JsonObject
        {
            ["mode"] = MatrixFigures.Name(setting.Mode),
            ["pass"] = MatrixFigures.Name(setting.Pass),
            ["fileBytes"] = setting.Cell.FileBytes,
            ["recordBytes"] = setting.Cell.RecordBytes,
            ["ratio"] = figures.Ratio(setting),
        };
        foreach (string volume in (string[])[figures.BaselineName, figures.SubjectName, figures.LimitName])
            cell[volume] = new JsonArray([.. figures.Rounds(setting, volume).Select(bytes => JsonValue.Create(Math.Round(bytes)))]);
        return cell;
    }
}
