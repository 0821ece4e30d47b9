using System.Globalization;
using System.Text;
using System.Text.Json;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>What the scale run measured, as tables and as JSON.</summary>
internal sealed record ScaleReport(MachineFacts Machine, string FilesTitle, IReadOnlyList<ScaleRow> ByFiles, string RegionsTitle, IReadOnlyList<ScaleRow> ByRegion)
{
    /// <summary>Opening the image, which is measured by itself.</summary>
    public const string Mount = "mount";

    private const double MostGrowth = 2;

    private static readonly string[] s_operations = [Mount, "open", "create", "lookup", "append", "overwrite"];

    /// <summary>Those that the target is about.</summary>
    private static readonly string[] s_targets = [Mount, "open", "create", "lookup", "append"];

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    public void WriteText(TextWriter output)
    {
        output.WriteLine(Machine);
        output.WriteLine("DRAM stands in for persistent memory. Median ns, and the ratio to the smallest. Memory and page tables are there before anything but mounts is timed.");
        output.WriteLine("warm: one operation after the other. A small file system is in the CPU's caches then and a large one is not, so that the ratio compares these too.");
        output.WriteLine("cold: the caches are filled with something else before each operation: what the file system itself adds as it grows.");
        WriteTable(output, $"{FilesTitle}; warm", ByFiles, row => row.Warm);
        WriteTable(output, $"{FilesTitle}; cold", ByFiles, row => row.Cold);
        WriteTable(output, $"{RegionsTitle}; warm", ByRegion, row => row.Warm);
        WriteTable(output, $"{RegionsTitle}; cold", ByRegion, row => row.Cold);
    }

    private static void WriteTable(TextWriter output, string title, IReadOnlyList<ScaleRow> rows, Func<ScaleRow, IReadOnlyDictionary<string, double>> figures)
    {
        IReadOnlyDictionary<string, double> first = figures(rows[0]);
        var text = new StringBuilder().AppendLine().AppendLine(title).Append(' ', 10);
        foreach (string operation in s_operations) text.Append(CultureInfo.InvariantCulture, $"{operation,11}        ");
        text.AppendLine();
        foreach (ScaleRow row in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{row.Size,10}");
            foreach (string operation in s_operations)
                text.Append(CultureInfo.InvariantCulture, $"{figures(row)[operation],11:0}{figures(row)[operation] / first[operation],7:0.00}x");
            text.AppendLine();
        }

        foreach (string operation in s_targets)
        {
            double growth = rows.Max(row => figures(row)[operation]) / first[operation];
            text.AppendLine(CultureInfo.InvariantCulture, $"  {(growth <= MostGrowth ? "pass" : "MISS")}  {operation,-8} grows {growth:0.00}x, needed at most {MostGrowth:0}x");
        }

        output.Write(text);
    }
}
