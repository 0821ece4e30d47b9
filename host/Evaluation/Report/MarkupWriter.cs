namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>Writes HTML, and SVG within it. Every text and attribute is escaped; elements are closed by the end of their scope.</summary>
/// <remarks>Lines end with LF and nothing depends on the culture: equal calls make equal text.</remarks>
/// <param name="output">Where to; stays open.</param>
internal sealed class MarkupWriter(TextWriter output)
{
    /// <summary>Opens an element; <c>using</c> closes it.</summary>
    /// <param name="element">Its name.</param>
    /// <param name="attributes">Those whose value is null are left out.</param>
    public Scope In(string element, params ReadOnlySpan<(string Name, string? Value)> attributes)
    {
        Begin(element, attributes);
        output.Write('>');
        return new Scope(output, element);
    }

    /// <summary>An element that holds nothing but a text.</summary>
    public void Element(string element, string text, params ReadOnlySpan<(string Name, string? Value)> attributes)
    {
        using (In(element, attributes)) Text(text);
    }

    /// <summary>An element that holds nothing: a void one of HTML, or any of SVG.</summary>
    public void Empty(string element, params ReadOnlySpan<(string Name, string? Value)> attributes)
    {
        Begin(element, attributes);
        output.Write("/>");
    }

    /// <summary>A text.</summary>
    public void Text(string text) => Escape(text);

    /// <summary>Ends a line of the file, which means nothing in the page: for those who read its source.</summary>
    public void Line() => output.Write('\n');

    /// <summary>What is markup already: our own files, never anything from a report.</summary>
    public void Verbatim(string markup) => output.Write(markup);

    private void Begin(string element, ReadOnlySpan<(string Name, string? Value)> attributes)
    {
        output.Write('<');
        output.Write(element);
        foreach ((string name, string? value) in attributes)
        {
            if (value is null) continue;
            output.Write(' ');
            output.Write(name);
            output.Write("=\"");
            Escape(value);
            output.Write('"');
        }
    }

    private void Escape(string text)
    {
        foreach (char character in text)
        {
            switch (character)
            {
                case '&': output.Write("&amp;"); break;
                case '<': output.Write("&lt;"); break;
                case '>': output.Write("&gt;"); break;
                case '"': output.Write("&quot;"); break;
                case '\'': output.Write("&#39;"); break;
                // HTML knows no other control characters, and a reader would see nothing.
                case < ' ' and not ('\n' or '\t'): output.Write('\uFFFD'); break;
                default: output.Write(character); break;
            }
        }
    }

    /// <summary>An element that is open.</summary>
    internal readonly struct Scope(TextWriter output, string element) : IDisposable
    {
        /// <summary>Closes it.</summary>
        public void Dispose()
        {
            output.Write("</");
            output.Write(element);
            output.Write('>');
        }
    }
}
