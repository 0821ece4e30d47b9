using System.Globalization;

namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>What the charts have in common. A chart is as wide as its place: positions across are in percent, those down in CSS pixels, so that its texts keep their size on a phone.</summary>
internal static class Chart
{
    // A name that leaves room for a figure at the other end of the line on the narrowest phone.
    private const int LongestName = 26;

    /// <summary>The frame of a chart, with its title and a description for those who do not see it.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="id">Of the page, unique: the title's and description's are made from it.</param>
    /// <param name="kind">A class for the style sheet.</param>
    /// <param name="title">What it shows.</param>
    /// <param name="description">What is to be seen.</param>
    /// <param name="height">In CSS pixels.</param>
    /// <param name="draw">Draws what is in it.</param>
    public static void Write(MarkupWriter writer, string id, string kind, string title, string description, double height, Action draw)
    {
        using (writer.In("svg", ("class", "chart " + kind), ("role", "img"), ("aria-labelledby", $"{id}-t {id}-d"), ("height", Px(height))))
        {
            writer.Element("title", title, ("id", id + "-t"));
            writer.Element("desc", description, ("id", id + "-d"));
            draw();
        }

        writer.Line();
    }

    /// <summary>A group that is one mark, and what it says when pointed at.</summary>
    public static MarkupWriter.Scope Mark(MarkupWriter writer, string kind, string tip)
    {
        MarkupWriter.Scope mark = writer.In("g", ("class", "mark " + kind));
        writer.Element("title", tip);
        return mark;
    }

    /// <summary>A text at a place.</summary>
    public static void Label(MarkupWriter writer, string text, double at, double y, string kind, string anchor = "start")
        => writer.Element("text", text, ("x", Percent(at)), ("y", Px(y)), ("class", kind), ("text-anchor", anchor == "start" ? null : anchor));

    /// <summary>A straight line.</summary>
    public static void Line(MarkupWriter writer, double fromX, double fromY, double toX, double toY, string kind)
        => writer.Empty("line", ("x1", Percent(fromX)), ("y1", Px(fromY)), ("x2", Percent(toX)), ("y2", Px(toY)), ("class", kind));

    /// <summary>One of the shapes that tell contenders apart without colour, around a place.</summary>
    public static void Shape(MarkupWriter writer, ContenderStyle style, double at, double y)
    {
        using (writer.In("svg", ("x", Percent(at)), ("y", Px(y)), ("class", "shape"))) writer.Empty("path", ("d", style.Shape));
    }

    /// <summary>A name that is not too long for a line of a chart; tooltip and table have the whole of it.</summary>
    public static string Shortened(string name)
    {
        if (name.Length <= LongestName) return name;
        // Half of a pair of surrogates is no character.
        int length = char.IsHighSurrogate(name[LongestName - 2]) ? LongestName - 2 : LongestName - 1;
        return name[..length] + "…";
    }

    /// <summary>A part of the width.</summary>
    public static string Percent(double fraction) => (fraction * 100).ToString("0.##", CultureInfo.InvariantCulture) + "%";

    /// <summary>CSS pixels.</summary>
    public static string Px(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
