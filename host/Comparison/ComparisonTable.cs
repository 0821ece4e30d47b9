using System.Globalization;
using Spectre.Console;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Comparison;

/// <summary>A comparison for people: facts, a table a workload, and how to read it.</summary>
internal static class ComparisonTable
{
    private const double KiB = 1024;

    private static readonly TableColumn<ComparisonRow>[] s_columns =
    [
        new("MEDIAN µs", row => Number(row.MedianMicroseconds, "0")),
        new("P99 µs", row => Number(row.P99Microseconds, "0"), DroppedAs: 4),
        new("OPS/s", row => Number(row.OperationsPerSecond, "0"), DroppedAs: 2),
        new("× QEMU", row => Number(row.RatioToQemu, "0.00"), row => row.IsReference || row.RatioToQemu is null ? null : row.RatioToQemu < 1 ? Cell.Good : Cell.Bad),
        new("SPREAD", row => Number(row.Spread, "0%"), DroppedAs: 1),
        new("FLUSHES", row => Number(row.HostFlushesPerGuestFlush, "0.000")),
        new("TO CLOSE", row => Number(row.OpenToClosePerOperation?.HostFlushes, "0.000"), DroppedAs: 3),
        new("BARRIERS", row => Number(row.BarriersPerGuestFlush, "0.000")),
        new("KiB", row => Number(row.BytesWrittenPerOperation / KiB, "0.0")),
        new("ZEROED", row => Number(row.PreallocatedBytesPerOperation / KiB, "0.0"), DroppedAs: 5),
    ];

    private static readonly FittedTable<ComparisonRow> s_table = new("PIPELINE", row => row.Pipeline, row => row.IsReference, s_columns);

    /// <summary>Writes it.</summary>
    public static void Write(ComparisonReport report, IReadOnlyList<Workload> workloads, CommandOutput output)
    {
        WriteFacts(report, output);
        TableColumn<ComparisonRow>[] columns = Fitting(report.Rows, FittedTable<ComparisonRow>.Room(output));
        foreach (Workload workload in workloads)
        {
            ComparisonRow[] rows = [.. report.Rows.Where(row => row.Workload == workload.Name)];
            if (rows.Length == 0) continue;
            output.WriteLine();
            output.WriteLine($"{workload.Name}: {workload.Description}");
            s_table.Write(columns, rows, report.Rows, output);
        }

        output.WriteLine();
        foreach (string note in report.Notes) output.WriteLine(note);
        WriteLegend(report, output);
        s_table.WriteDropped(columns, output);
    }

    /// <summary>The columns that a line has room for; the least important ones go first.</summary>
    internal static TableColumn<ComparisonRow>[] Fitting(IReadOnlyList<ComparisonRow> rows, int width) => s_table.Fitting(rows, width);

    private static void WriteFacts(ComparisonReport report, CommandOutput output)
    {
        ComparisonSettings settings = report.Settings;
        output.WriteFacts([
            .. report.Host.Lines(),
            ("versions", string.Join(", ", report.Versions.Select(version => $"{version.Key} {version.Value}"))),
            ("measured", $"{report.Started:u}, {settings.Rounds} rounds of {settings.Operations} operations (one write, one flush), disks of {Quantities.FormatSize(settings.DiskBytes)}"),
            .. settings.SlowFlushMicroseconds > 0
                ? [("simulated", Invariant($"every flush of a device takes {settings.SlowFlushMicroseconds:0} µs more; QEMU stands on a raw disk of this process with that device, over NBD"))]
                : Array.Empty<(string, string)>()]);
    }

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "–";

    private static void WriteLegend(ComparisonReport report, CommandOutput output)
    {
        output.WriteLine("FLUSHES, BARRIERS, KiB written: of the host's storage, an operation. TO CLOSE: flushes with those of opening and closing the disk. ZEROED: KiB of zeros written ahead of use.");
        output.WriteLine("× QEMU: latency in terms of qemu-nbd with default options, median of the rounds' ratios; below 1 is faster. SPREAD: (slowest − fastest) / median of the rounds.");
        foreach (IGrouping<string, ComparisonRow> group in report.Rows.GroupBy(row => row.CountedBy))
            output.WriteLine($"counted by {group.Key}: {string.Join(", ", group.Select(row => row.Pipeline).Distinct())}");
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
