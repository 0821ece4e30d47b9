using System.Globalization;
using System.Text;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>
/// What the format has no entry for, as the text of a MARK entry. Other programs skip marks; this one restores from them what was recorded.
/// </summary>
/// <remarks>
/// The text is <c>sp:</c> and one or more of these, separated by semicolons (docs/trace-files.md):
/// <list type="bullet">
/// <item><c>class=Map</c>: what the next write or discard holds (<see cref="ContentClass"/>); without it <see cref="ContentClass.GuestData"/>.</item>
/// <item><c>range=OFFSET+LENGTH</c>: the bytes that the next write wrote; the rest of its sectors was read from the image.</item>
/// <item><c>zero=OFFSET+LENGTH</c>: a range was zeroed that has no whole sectors at its ends.</item>
/// <item><c>length=BYTES</c>: the length of the image was set.</item>
/// <item><c>entries=N</c>: the next N entries show the same to programs that skip marks.</item>
/// <item><c>barrier</c>: everything before persists before anything behind.</item>
/// <item><c>flush</c>: a flush, with <c>pending</c> or <c>failed</c>; one that succeeded is a FLUSH entry. A barrier can have the same two words.</item>
/// </list>
/// </remarks>
internal sealed record LogRemark
{
    public const string Prefix = "sp:";

    /// <summary>The longest text that is made here; it fits the smallest sector.</summary>
    public const int MaxBytes = 200;

    public ContentClass? Content { get; private init; }

    public (long Offset, long Length)? Range { get; private init; }

    public (long Offset, long Length)? Zero { get; private init; }

    public long? Length { get; private init; }

    /// <summary>How many entries behind it are for other programs only.</summary>
    public long Entries { get; private init; }

    /// <summary>A flush that did not succeed.</summary>
    public bool IsFlush { get; private init; }

    public bool IsBarrier { get; private init; }

    /// <summary>It began, and nothing is known of its end.</summary>
    public bool IsPending { get; private init; }

    public bool HasFailed { get; private init; }

    /// <summary>Understands a mark.</summary>
    /// <param name="text">Its text.</param>
    /// <param name="remark">What it says; null for a mark of somebody else.</param>
    /// <returns>False when it is one of these and makes no sense.</returns>
    public static bool TryParse(string text, out LogRemark? remark)
    {
        remark = null;
        if (!text.StartsWith(Prefix, StringComparison.Ordinal)) return true;
        var read = new LogRemark();
        foreach (string part in text[Prefix.Length..].Split(';'))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (read.With(equals < 0 ? part : part[..equals], equals < 0 ? "" : part[(equals + 1)..]) is not { } next) return false;
            read = next;
        }

        remark = read;
        return true;
    }

    private LogRemark? With(string key, string value) => key switch
    {
        "class" => Enum.TryParse(value, out ContentClass content) && Enum.IsDefined(content) ? this with { Content = content } : null,
        "range" => ParseRange(value) is { } range ? this with { Range = range } : null,
        "zero" => ParseRange(value) is { } range ? this with { Zero = range } : null,
        "length" => ParseNumber(value) is { } length ? this with { Length = length } : null,
        "entries" => ParseNumber(value) is { } entries ? this with { Entries = entries } : null,
        "barrier" => this with { IsBarrier = true },
        "flush" => this with { IsFlush = true },
        "pending" => this with { IsPending = true },
        "failed" => this with { HasFailed = true },
        _ => null,
    };

    private static long? ParseNumber(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;

    private static (long, long)? ParseRange(string text)
    {
        int plus = text.IndexOf('+', StringComparison.Ordinal);
        return plus > 0 && ParseNumber(text[..plus]) is { } offset && ParseNumber(text[(plus + 1)..]) is { } length && offset <= long.MaxValue - length ? (offset, length) : null;
    }

    /// <summary>Composes a mark's text without allocating.</summary>
    public ref struct Text(Span<byte> buffer)
    {
        private readonly Span<byte> _buffer = buffer;
        private int _length;

        public readonly ReadOnlySpan<byte> Bytes => _buffer[.._length];

        public readonly bool IsEmpty => _length == 0;

        public void Add(ReadOnlySpan<byte> word)
        {
            Put(_length == 0 ? "sp:"u8 : ";"u8);
            Put(word);
        }

        public void Add(ReadOnlySpan<byte> key, long value)
        {
            Add(key);
            PutNumber(value);
        }

        public void Add(ReadOnlySpan<byte> key, long offset, long length)
        {
            Add(key, offset);
            Put("+"u8);
            PutNumber(length);
        }

        /// <summary>Nothing for <see cref="ContentClass.GuestData"/>, which goes without saying.</summary>
        public void Add(ContentClass content)
        {
            if (content == ContentClass.GuestData) return;
            Add("class="u8);
            _length += Encoding.ASCII.GetBytes(s_names[(int)content], _buffer[_length..]);
        }

        private void Put(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_buffer[_length..]);
            _length += bytes.Length;
        }

        private void PutNumber(long value)
        {
            if (!value.TryFormat(_buffer[_length..], out int written, provider: CultureInfo.InvariantCulture)) throw new InvalidOperationException("A mark's text is longer than its bound.");
            _length += written;
        }
    }

    private static readonly string[] s_names = [.. Enum.GetValues<ContentClass>().Select(content => content.ToString())];
}
