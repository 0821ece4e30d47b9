namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>A column.</summary>
/// <param name="Heading">Its heading.</param>
/// <param name="IsNumber">Whether it is set to the right and sorted by <see cref="TableCell.Key"/>.</param>
/// <param name="Explained">What it means; null where the heading says so.</param>
internal sealed record TableColumn(string Heading, bool IsNumber = false, string? Explained = null);

/// <summary>A cell.</summary>
/// <param name="Text">What it says.</param>
/// <param name="Key">What a column of numbers is sorted by; cells without it come last.</param>
/// <param name="Kind">A class for the style sheet.</param>
/// <param name="Target">The part of the page that it leads to.</param>
/// <param name="Detail">In small letters below.</param>
internal sealed record TableCell(string Text, double? Key = null, string? Kind = null, string? Target = null, string? Detail = null)
{
    /// <summary>Plain text.</summary>
    public static implicit operator TableCell(string text) => new(text);

    /// <summary>A number.</summary>
    public static TableCell Of(double? value, Func<double?, string> format) => new(format(value), Figures.IsFigure(value) ? value : null);
}

/// <summary>A table in a box of its own that scrolls sideways where the page is narrower. report.js makes its headings buttons that sort.</summary>
internal static class ReportTable
{
    /// <summary>Writes it. The first column names its row, and stays when the table is scrolled.</summary>
    public static void Write(MarkupWriter writer, string caption, IReadOnlyList<TableColumn> columns, IEnumerable<IReadOnlyList<TableCell>> rows, string? kind = null)
    {
        // A box that scrolls must be reachable by keyboard.
        using (writer.In("div", ("class", "scroll"), ("role", "region"), ("aria-label", caption), ("tabindex", "0")))
        using (writer.In("table", ("class", kind)))
        {
            writer.Element("caption", caption);
            using (writer.In("thead"))
            using (writer.In("tr"))
            {
                foreach (TableColumn column in columns)
                    writer.Element("th", column.Heading, ("scope", "col"), ("class", column.IsNumber ? "n" : null), ("title", column.Explained));
            }

            writer.Line();
            using (writer.In("tbody"))
            {
                foreach (IReadOnlyList<TableCell> row in rows)
                {
                    using (writer.In("tr"))
                    {
                        for (int i = 0; i < columns.Count; i++) WriteCell(writer, row[i], columns[i], isHeader: i == 0);
                    }

                    writer.Line();
                }
            }
        }

        writer.Line();
    }

    private static void WriteCell(MarkupWriter writer, TableCell cell, TableColumn column, bool isHeader)
    {
        string? kind = (column.IsNumber, cell.Kind) switch
        {
            (true, null) => "n",
            (true, _) => "n " + cell.Kind,
            _ => cell.Kind,
        };
        using (writer.In(isHeader ? "th" : "td", ("scope", isHeader ? "row" : null), ("class", kind), ("data-key", cell.Key is { } key ? Figures.Exact(key) : null)))
        {
            if (cell.Target is null) writer.Text(cell.Text);
            else writer.Element("a", cell.Text, ("href", "#" + cell.Target));
            if (cell.Detail is not null) writer.Element("small", cell.Detail);
        }
    }
}
