using System.Buffers;

namespace StoragePlugins.PmJournal.Session;

/// <summary>A record's content: after-images, each an offset, a length and its bytes. Numbers take seven bits a byte, so that an L2 entry and a refcount, with
/// where they belong, fit one cache line.</summary>
/// <remarks>One growing buffer, kept for reuse. Not thread-safe.</remarks>
internal sealed class RecordContent
{
    /// <summary>The longest number: a 63-bit offset.</summary>
    private const int MaxNumberBytes = 9;

    private readonly ArrayBufferWriter<byte> _bytes = new(4096);

    /// <summary>What <see cref="Add"/> gathered.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>The most that an image can add.</summary>
    public static long MostBytes(long imageBytes) => imageBytes + (2 * MaxNumberBytes);

    /// <summary>Adds an after-image; later ones win where they overlap.</summary>
    public void Add(long offset, ReadOnlySpan<byte> image)
    {
        AddNumber((ulong)offset);
        AddNumber((ulong)image.Length);
        _bytes.Write(image);
    }

    /// <summary>Adds images that are a content already.</summary>
    public void AddEncoded(ReadOnlySpan<byte> content) => _bytes.Write(content);

    /// <summary>Empties it and keeps its memory.</summary>
    public void Clear() => _bytes.ResetWrittenCount();

    /// <summary>Takes the next image off the front of a content.</summary>
    /// <returns>False at the end.</returns>
    /// <exception cref="FormatException">It was not made by <see cref="Add(long, ReadOnlySpan{byte})"/>.</exception>
    public static bool TryTake(ref ReadOnlySpan<byte> content, out long offset, out ReadOnlySpan<byte> image)
    {
        offset = 0;
        image = default;
        if (content.IsEmpty) return false;
        ulong start = TakeNumber(ref content), length = TakeNumber(ref content);
        if (start > long.MaxValue || length == 0 || length > (ulong)content.Length || start + length > long.MaxValue)
            throw new FormatException($"an after-image of {length} bytes at {start}, with {content.Length} bytes left");
        offset = (long)start;
        image = content[..(int)length];
        content = content[(int)length..];
        return true;
    }

    private void AddNumber(ulong value)
    {
        Span<byte> bytes = _bytes.GetSpan(MaxNumberBytes);
        int count = 0;
        for (; value >= 0x80; value >>= 7) bytes[count++] = (byte)(value | 0x80);
        bytes[count++] = (byte)value;
        _bytes.Advance(count);
    }

    private static ulong TakeNumber(ref ReadOnlySpan<byte> content)
    {
        ulong value = 0;
        for (int i = 0; i < MaxNumberBytes && i < content.Length; i++)
        {
            value |= (ulong)(content[i] & 0x7f) << (7 * i);
            if (content[i] >= 0x80) continue;
            content = content[(i + 1)..];
            return value;
        }

        throw new FormatException("a number without an end");
    }
}
