using System.Globalization;
using Spectre.Console;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Comparison;

/// <summary>A comparison for people: facts, a table a workload, and how to read it.</summary>
internal static class ComparisonTable
{
    private const double KiB = 1024;

    private static readonly string[] s_headings =
        ["PIPELINE", "MEDIAN µs", "P99 µs", "OPS/s", "× QEMU", "SPREAD", "FLUSHES", "OPEN–CLOSE", "BARRIERS", "KiB WRITTEN", "KiB ZEROED AHEAD"];

    /// <summary>Writes it.</summary>
    public static void Write(ComparisonReport report, IReadOnlyList<Workload> workloads, CommandOutput output)
    {
        WriteFacts(report, output);
        foreach (Workload workload in workloads)
        {
            ComparisonRow[] rows = [.. report.Rows.Where(row => row.Workload == workload.Name)];
            if (rows.Length == 0) continue;
            output.WriteLine();
            output.WriteLine($"{workload.Name}: {workload.Description}");
            output.WriteTable(s_headings, rows.Select(Cells));
        }

        output.WriteLine();
        foreach (string note in report.Notes) output.WriteLine(note);
        WriteLegend(report, output);
    }

    private static void WriteFacts(ComparisonReport report, CommandOutput output)
    {
        HostFacts host = report.Host;
        ComparisonSettings settings = report.Settings;
        output.WriteFacts([
            ("machine", $"{host.Machine}, {host.Processors} × {host.Processor}, {Invariant($"{host.MemoryBytes / (KiB * KiB * KiB):0.#}")} GiB"),
            ("system", $"{host.System}, {host.Kernel}"),
            ("images in", $"{host.Directory}, {host.FileSystem} on {host.Device}, device cache {host.DeviceCache.ToString().ToLowerInvariant()}"),
            ("flush costs", Invariant($"{host.OverwriteFlushMicroseconds:0} µs for 4 KiB over and over, {host.AppendFlushMicroseconds:0} µs for 64 KiB at the end of a growing file")),
            ("versions", string.Join(", ", report.Versions.Select(version => $"{version.Key} {version.Value}"))),
            ("measured", $"{report.Started:u}, {settings.Rounds} rounds of {settings.Operations} operations (one write, one flush), disks of {Quantities.FormatSize(settings.DiskBytes)}"),
            .. settings.SlowFlushMicroseconds > 0
                ? [("simulated", Invariant($"every flush of a device takes {settings.SlowFlushMicroseconds:0} µs more; QEMU stands on a raw disk of this process with that device, over NBD"))]
                : Array.Empty<(string, string)>()]);
    }

    private static Cell[] Cells(ComparisonRow row) =>
    [
        new Cell(row.Pipeline, row.IsReference ? new Style(Color.Grey) : new Style(decoration: Decoration.Bold)),
        Number(row.MedianMicroseconds, "0"), Number(row.P99Microseconds, "0"), Number(row.OperationsPerSecond, "0"),
        Ratio(row), Number(row.Spread, "0%"),
        Number(row.HostFlushesPerGuestFlush, "0.000"), Number(row.OpenToClosePerOperation?.HostFlushes, "0.000"), Number(row.BarriersPerGuestFlush, "0.000"),
        Number(row.BytesWrittenPerOperation / KiB, "0.0"), Number(row.PreallocatedBytesPerOperation / KiB, "0.0"),
    ];

    private static Cell Ratio(ComparisonRow row) => new(
        Number(row.RatioToQemu, "0.00").Text, row.IsReference || row.RatioToQemu is null ? null : row.RatioToQemu < 1 ? Cell.Good : Cell.Bad);

    // Right-aligned below the shortest heading.
    private static Cell Number(double? value, string format) => (value?.ToString(format, CultureInfo.InvariantCulture) ?? "–").PadLeft(8);

    private static void WriteLegend(ComparisonReport report, CommandOutput output)
    {
        output.WriteLine("FLUSHES, BARRIERS, KiB: of the host's storage, an operation. OPEN–CLOSE: flushes with those of opening and closing the disk.");
        output.WriteLine("× QEMU: latency in terms of qemu-nbd with default options, median of the rounds' ratios; below 1 is faster. SPREAD: (slowest − fastest) / median of the rounds.");
        foreach (IGrouping<string, ComparisonRow> group in report.Rows.GroupBy(row => row.CountedBy))
            output.WriteLine($"counted by {group.Key}: {string.Join(", ", group.Select(row => row.Pipeline).Distinct())}");
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
