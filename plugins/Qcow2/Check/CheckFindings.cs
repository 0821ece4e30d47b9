using System.Runtime.CompilerServices;
using System.Text;

namespace StoragePlugins.Qcow2.Check;

/// <summary>Counts what a check finds, and keeps the first lines.</summary>
internal sealed class CheckFindings
{
    /// <summary>What a person reads; a broken image can have millions, and the counts are complete.</summary>
    public const int MaxLines = 100;

    private readonly List<string> _lines = [];

    public long Corruptions { get; private set; }
    public long Leaks { get; private set; }
    public IReadOnlyList<string> Lines => _lines;

    public void Corruption([InterpolatedStringHandlerArgument("")] FindingLine line)
    {
        Corruptions++;
        line.AddTo(_lines, "error: ");
    }

    public void Leak([InterpolatedStringHandlerArgument("")] FindingLine line)
    {
        Leaks++;
        line.AddTo(_lines, "leak: ");
    }

    /// <summary>Says what a repair did not do; always kept, a check has a few of them at most.</summary>
    public void Note(string line) => _lines.Add(line);

    /// <summary>A line that is composed only while there is room for it.</summary>
    [InterpolatedStringHandler]
    public readonly ref struct FindingLine
    {
        private readonly StringBuilder? _text;

        public FindingLine(int literalLength, int formattedCount, CheckFindings findings, out bool wanted)
        {
            wanted = findings._lines.Count < MaxLines;
            _text = wanted ? new StringBuilder(literalLength + (formattedCount * 8)) : null;
        }

        public void AppendLiteral(string text) => _text!.Append(text);

        public void AppendFormatted<T>(T value) => _text!.Append(value);

        public void AppendFormatted(ulong value, string format) => _text!.Append(value.ToString(format));

        public void AddTo(List<string> lines, string kind)
        {
            if (_text is not null) lines.Add(_text.Insert(0, kind).ToString());
        }
    }
}
