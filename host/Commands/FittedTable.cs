using Spectre.Console;

namespace StoragePlugins.Host.Commands;

/// <summary>A table of figures under names, with as many of its columns as a line has room for.</summary>
/// <param name="heading">Over the names.</param>
/// <param name="name">Of a row.</param>
/// <param name="isReference">Rows that are shown in grey.</param>
/// <param name="columns">All columns.</param>
internal sealed class FittedTable<TRow>(string heading, Func<TRow, string> name, Func<TRow, bool> isReference, IReadOnlyList<TableColumn<TRow>> columns)
{
    // Behind each column, as CommandOutput has it.
    private const int Gap = 2;

    /// <summary>Characters that the terminal has room for; a terminal that does not know its width (a serial console), and a file, get whole lines.</summary>
    public static int Room(CommandOutput output) => output.IsTerminal && Console.WindowWidth > 1 ? Console.WindowWidth : int.MaxValue;

    /// <summary>The columns that a line has room for; the least important ones go first.</summary>
    /// <param name="rows">All rows of all tables that are to have the same columns.</param>
    /// <param name="width">Characters.</param>
    public TableColumn<TRow>[] Fitting(IReadOnlyList<TRow> rows, int width)
    {
        List<TableColumn<TRow>> fitting = [.. columns];
        while (Width(fitting, rows) > width && fitting.Where(column => column.DroppedAs > 0).MinBy(column => column.DroppedAs) is { } least)
            fitting.Remove(least);
        return [.. fitting];
    }

    /// <summary>Writes some rows.</summary>
    /// <param name="shown">Of <see cref="Fitting"/>.</param>
    /// <param name="rows">These.</param>
    /// <param name="all">For widths: all rows of all tables.</param>
    /// <param name="output">Where to.</param>
    public void Write(TableColumn<TRow>[] shown, IReadOnlyList<TRow> rows, IReadOnlyList<TRow> all, CommandOutput output)
    {
        int names = NameWidth(all);
        int[] widths = [.. shown.Select(column => column.WidthOf(all))];
        string[] headings = [heading.PadRight(names), .. shown.Zip(widths, (column, width) => column.Heading.PadLeft(width))];
        IEnumerable<Cell[]> cells = rows.Select(row => (Cell[])[
            new Cell(name(row).PadRight(names), isReference(row) ? new Style(Color.Grey) : new Style(decoration: Decoration.Bold)),
            .. shown.Zip(widths, (column, width) => new Cell(column.Text(row).PadLeft(width), column.Style?.Invoke(row)))]);
        if (Width(shown, all) <= Room(output))
        {
            output.WriteTable(headings, cells);
            return;
        }

        // What does not fit is better broken by the terminal than left out.
        string gap = new(' ', Gap);
        output.WriteLine(string.Join(gap, headings));
        foreach (Cell[] row in cells) output.WriteLine(string.Join(gap, row.Select(cell => cell.Text)));
    }

    /// <summary>Says which columns are not shown.</summary>
    public void WriteDropped(TableColumn<TRow>[] shown, CommandOutput output)
    {
        if (shown.Length < columns.Count)
            output.WriteLine($"not shown for want of room: {string.Join(", ", columns.Except(shown).Select(column => column.Heading))}; widen the terminal, or redirect the output");
    }

    private int NameWidth(IReadOnlyList<TRow> rows) => rows.Select(row => name(row).Length).Append(heading.Length).Max();

    private int Width(IEnumerable<TableColumn<TRow>> shown, IReadOnlyList<TRow> rows) => NameWidth(rows) + Gap + shown.Sum(column => column.WidthOf(rows) + Gap);
}

/// <summary>A column of figures.</summary>
/// <param name="Heading">Its heading.</param>
/// <param name="Text">The figure of a row.</param>
/// <param name="Style">How it looks on a terminal; null for plain.</param>
/// <param name="DroppedAs">When room is short, columns go in this order; 0 stays.</param>
internal sealed record TableColumn<TRow>(string Heading, Func<TRow, string> Text, Func<TRow, Style?>? Style = null, int DroppedAs = 0)
{
    /// <summary>Characters that it takes.</summary>
    public int WidthOf(IReadOnlyList<TRow> rows) => Math.Max(Heading.Length, rows.Max(row => Text(row).Length));
}
