using System.Runtime.CompilerServices;
using System.Text;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>What a check found: complete counts, and the first lines in words.</summary>
internal sealed class CheckFindings
{
    /// <summary>What a person reads; a broken image can have millions.</summary>
    public const int MostLines = 100;

    private readonly List<string> _lines = [];

    public long Corruptions { get; private set; }

    public long Leaks { get; private set; }

    public IReadOnlyList<string> Lines => _lines;

    /// <summary>What endangers data, or breaks what is always true.</summary>
    public void Corruption([InterpolatedStringHandlerArgument("")] Line line, long count = 1)
    {
        Corruptions += count;
        line.AddTo(_lines, "error: ");
    }

    /// <summary>What is taken and belongs to nobody.</summary>
    public void Leak([InterpolatedStringHandlerArgument("")] Line line, long count = 1)
    {
        Leaks += count;
        line.AddTo(_lines, "leak: ");
    }

    /// <summary>What is no fault but has to be known; always kept, since a check has a few of them at most.</summary>
    public void Note(string line) => _lines.Add(line);

    /// <summary>A line that is put into words only while there is room for it.</summary>
    [InterpolatedStringHandler]
    public readonly ref struct Line
    {
        private readonly StringBuilder? _text;

        public Line(int literalLength, int formattedCount, CheckFindings findings, out bool isWanted)
        {
            isWanted = findings._lines.Count < MostLines;
            _text = isWanted ? new StringBuilder(literalLength + (formattedCount * 8)) : null;
        }

        public void AppendLiteral(string text) => _text!.Append(text);

        public void AppendFormatted<T>(T value) => _text!.Append(value);

        public void AppendFormatted(ulong value, string format) => _text!.Append(value.ToString(format));

        /// <summary>A name as it may be printed: other bytes than printable ASCII in hexadecimal.</summary>
        public void AppendFormatted(ReadOnlySpan<byte> name)
        {
            foreach (byte b in name)
            {
                if (b is >= 0x20 and < 0x7f and not (byte)'\\') _text!.Append((char)b);
                else _text!.Append("\\x").Append(b.ToString("x2"));
            }
        }

        public void AddTo(List<string> lines, string kind)
        {
            if (_text is not null) lines.Add(_text.Insert(0, kind).ToString());
        }
    }
}
