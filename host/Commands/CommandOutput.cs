using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace StoragePlugins.Host.Commands;

/// <summary>Standard output of the commands: aligned tables, coloured on a terminal and plain elsewhere, or JSON.</summary>
internal sealed class CommandOutput(TextWriter writer)
{
    // Redirected output is for grep and cut: one line a row, however long.
    private const int UnlimitedWidth = 4096;

    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly bool _isTerminal = ReferenceEquals(writer, Console.Out) && !Console.IsOutputRedirected;

    /// <summary>Whether standard output is a terminal.</summary>
    public bool IsTerminal => _isTerminal;

    /// <summary>Writes a value as indented JSON: camelCase names, kebab-case enums.</summary>
    public void WriteJson(object value) => writer.WriteLine(JsonSerializer.Serialize(value, value.GetType(), s_json));

    /// <summary>Writes a line as it is.</summary>
    public void WriteLine(string line = "") => writer.WriteLine(line);

    /// <summary>Shows on a terminal how far something is, over what was shown before; elsewhere nothing. An empty text takes it away.</summary>
    public void WriteProgress(string text)
    {
        // "Erase to the end of the line".
        if (_isTerminal) writer.Write($"\r{text}\u001b[K");
    }

    /// <summary>Writes an aligned table.</summary>
    /// <param name="headings">One a column.</param>
    /// <param name="rows">As many cells each; a cell's style is that of Spectre.Console, or null.</param>
    public void WriteTable(IReadOnlyList<string> headings, IEnumerable<IReadOnlyList<Cell>> rows)
    {
        Table table = new Table().NoBorder();
        foreach (string heading in headings) table.AddColumn(new TableColumn(new Text(heading, new Style(decoration: Decoration.Bold))).NoWrap().PadLeft(0).PadRight(2));
        if (_isTerminal) table.Columns[^1].NoWrap = false;
        foreach (IReadOnlyList<Cell> row in rows) table.AddRow(row.Select(cell => (IRenderable)new Text(cell.Text, cell.Style)));
        Render(table);
    }

    /// <summary>Writes "name: value" lines, aligned.</summary>
    public void WriteFacts(IEnumerable<(string Name, string Value)> facts)
    {
        Grid grid = new Grid().AddColumn(new GridColumn().NoWrap().PadLeft(0).PadRight(2)).AddColumn(new GridColumn().PadLeft(0).PadRight(0));
        foreach ((string name, string value) in facts) grid.AddRow(new Text(name + ":", new Style(decoration: Decoration.Bold)), new Text(value));
        Render(grid);
    }

    private void Render(IRenderable what)
    {
        using var text = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = _isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = _isTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(text),
        });
        console.Profile.Width = _isTerminal ? Math.Max(40, Console.WindowWidth) : UnlimitedWidth;
        console.Write(what);
        foreach (string line in text.ToString().TrimEnd().Split('\n')) writer.WriteLine(line.TrimEnd());
    }
}

/// <summary>A cell of a table.</summary>
/// <param name="Text">Its text.</param>
/// <param name="Style">How it looks on a terminal.</param>
internal sealed record Cell(string Text, Style? Style = null)
{
    /// <summary>What is in order.</summary>
    public static Style Good { get; } = new(Color.Green);

    /// <summary>What wants attention.</summary>
    public static Style Bad { get; } = new(Color.Red);

    /// <summary>What is weaker than it looks.</summary>
    public static Style Caution { get; } = new(Color.Yellow);

    /// <summary>Plain text.</summary>
    public static implicit operator Cell(string text) => new(text);
}
