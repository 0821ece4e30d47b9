using System.Globalization;
using Spectre.Console;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Comparison;

/// <summary>A comparison for people: facts, a table a workload, and how to read it.</summary>
internal static class ComparisonTable
{
    private const double KiB = 1024;

    /// <summary>Behind each column, as <see cref="CommandOutput"/> has it.</summary>
    private const int Gap = 2;

    private static readonly Column[] s_columns =
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

    /// <summary>Writes it.</summary>
    public static void Write(ComparisonReport report, IReadOnlyList<Workload> workloads, CommandOutput output)
    {
        WriteFacts(report, output);
        // A terminal that does not know its width (a serial console) gets whole lines.
        int room = output.IsTerminal && Console.WindowWidth > 1 ? Console.WindowWidth : int.MaxValue;
        Column[] columns = Fitting(report.Rows, room);
        foreach (Workload workload in workloads)
        {
            ComparisonRow[] rows = [.. report.Rows.Where(row => row.Workload == workload.Name)];
            if (rows.Length == 0) continue;
            output.WriteLine();
            output.WriteLine($"{workload.Name}: {workload.Description}");
            WriteRows(columns, rows, report.Rows, output);
        }

        output.WriteLine();
        foreach (string note in report.Notes) output.WriteLine(note);
        WriteLegend(report, output);
        if (columns.Length < s_columns.Length)
            output.WriteLine($"not shown for want of room: {string.Join(", ", s_columns.Except(columns).Select(column => column.Heading))}; widen the terminal, or redirect the output");
    }

    private static void WriteRows(Column[] columns, ComparisonRow[] rows, IReadOnlyList<ComparisonRow> all, CommandOutput output)
    {
        int names = all.Max(row => row.Pipeline.Length);
        int[] widths = [.. columns.Select(column => column.WidthOf(all))];
        string[] headings = ["PIPELINE".PadRight(names), .. columns.Zip(widths, (column, width) => column.Heading.PadLeft(width))];
        IEnumerable<Cell[]> cells = rows.Select(row => (Cell[])[
            new Cell(row.Pipeline.PadRight(names), row.IsReference ? new Style(Color.Grey) : new Style(decoration: Decoration.Bold)),
            .. columns.Zip(widths, (column, width) => new Cell(column.Text(row).PadLeft(width), column.Style?.Invoke(row)))]);
        if (!output.IsTerminal || Width(columns, all) <= Console.WindowWidth)
        {
            output.WriteTable(headings, cells);
            return;
        }

        // What does not fit is better broken by the terminal than left out.
        string gap = new(' ', Gap);
        output.WriteLine(string.Join(gap, headings));
        foreach (Cell[] row in cells) output.WriteLine(string.Join(gap, row.Select(cell => cell.Text)));
    }

    private static int Width(IEnumerable<Column> columns, IReadOnlyList<ComparisonRow> rows)
        => rows.Max(row => row.Pipeline.Length) + Gap + columns.Sum(column => column.WidthOf(rows) + Gap);

    /// <summary>The columns that a line has room for; the least important ones go first.</summary>
    internal static Column[] Fitting(IReadOnlyList<ComparisonRow> rows, int width)
    {
        List<Column> columns = [.. s_columns];
        while (Width(columns, rows) > width && columns.Where(column => column.DroppedAs > 0).MinBy(column => column.DroppedAs) is { } least)
            columns.Remove(least);
        return [.. columns];
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

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "–";

    private static void WriteLegend(ComparisonReport report, CommandOutput output)
    {
        output.WriteLine("FLUSHES, BARRIERS, KiB written: of the host's storage, an operation. TO CLOSE: flushes with those of opening and closing the disk. ZEROED: KiB of zeros written ahead of use.");
        output.WriteLine("× QEMU: latency in terms of qemu-nbd with default options, median of the rounds' ratios; below 1 is faster. SPREAD: (slowest − fastest) / median of the rounds.");
        foreach (IGrouping<string, ComparisonRow> group in report.Rows.GroupBy(row => row.CountedBy))
            output.WriteLine($"counted by {group.Key}: {string.Join(", ", group.Select(row => row.Pipeline).Distinct())}");
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>A column of figures.</summary>
    /// <param name="Heading">Its heading.</param>
    /// <param name="Text">The figure of a row.</param>
    /// <param name="Style">How it looks on a terminal; null for plain.</param>
    /// <param name="DroppedAs">When room is short, columns go in this order; 0 stays.</param>
    internal sealed record Column(string Heading, Func<ComparisonRow, string> Text, Func<ComparisonRow, Style?>? Style = null, int DroppedAs = 0)
    {
        /// <summary>Characters that it takes.</summary>
        public int WidthOf(IReadOnlyList<ComparisonRow> rows) => Math.Max(Heading.Length, rows.Max(row => Text(row).Length));
    }
}
