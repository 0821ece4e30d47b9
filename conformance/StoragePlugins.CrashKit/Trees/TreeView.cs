using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>What a tree showed at a moment: every path from the root, and what is there. Immutable.</summary>
/// <param name="Paths">By path; the root is the empty one. Names are characters of one byte each. Names of one node have one <see cref="NodeView"/>.</param>
internal sealed record TreeView(SortedDictionary<string, NodeView> Paths)
{
    /// <summary>What differs, in words; null when nothing does.</summary>
    /// <param name="shown">What is seen.</param>
    /// <param name="expected">What should be.</param>
    /// <param name="withTimes">Compares time stamps too.</param>
    /// <param name="half">The file, by its path, and the bytes that an operation was about to change; null for none.</param>
    public static string? Difference(TreeView shown, TreeView expected, bool withTimes, HalfDone? half = null)
    {
        foreach ((string path, NodeView node) in expected.Paths)
        {
            if (!shown.Paths.TryGetValue(path, out NodeView? found)) return $"'{Text(path)}' is missing";
            if (found.Difference(node, withTimes, half is not null && expected.Paths.GetValueOrDefault(half.Path) == node ? half : null) is { } difference) return $"'{Text(path)}': {difference}";
        }

        foreach (string path in shown.Paths.Keys) if (!expected.Paths.ContainsKey(path)) return $"'{Text(path)}' is there";
        return AliasDifference(shown, expected);
    }

    /// <summary>A hash of all of it.</summary>
    public ulong Hash()
    {
        var hash = new HashCode();
        foreach ((string path, NodeView node) in Paths)
        {
            hash.Add(path, StringComparer.Ordinal);
            node.AddTo(ref hash);
        }

        return (ulong)(uint)hash.ToHashCode() * 0x9e37_79b9_7f4a_7c15;
    }

    /// <summary>A path as it may be printed.</summary>
    public static string Text(string path)
    {
        if (path.Length == 0) return "/";
        var text = new StringBuilder(path.Length);
        foreach (char c in path) text.Append(c is >= ' ' and < (char)0x7f ? c.ToString() : $"\\x{(int)c:x2}");
        return text.Length <= 60 ? text.ToString() : $"{text.ToString(0, 40)}…({path.Length} bytes)";
    }

    // Names of one node must be names of one node.
    private static string? AliasDifference(TreeView shown, TreeView expected)
    {
        Dictionary<NodeView, string> first = new(ReferenceEqualityComparer.Instance), firstShown = new(ReferenceEqualityComparer.Instance);
        foreach ((string path, NodeView node) in expected.Paths)
        {
            first.TryAdd(node, path);
            firstShown.TryAdd(shown.Paths[path], path);
            if (firstShown[shown.Paths[path]] != first[node]) return $"'{Text(path)}' names the node of '{Text(firstShown[shown.Paths[path]])}', not that of '{Text(first[node])}'";
        }

        return null;
    }
}

/// <summary>An operation on bytes that had not returned: of its range each eight aligned bytes may be old or new.</summary>
/// <param name="Path">The file.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="After">The file's bytes after it.</param>
internal sealed record HalfDone(string Path, long Offset, long Length, SparseContent After);

/// <summary>What is known of a node by looking.</summary>
internal sealed record NodeView
{
    /// <summary>What memory changes whole.</summary>
    public const int WordBytes = 8;

    public required NodeAttributes Attributes { get; init; }

    public required SparseContent Content { get; init; }

    /// <summary>Of a symbolic link.</summary>
    public required byte[] Target { get; init; }

    public required SortedDictionary<string, byte[]> Extended { get; init; }

    public string? Difference(NodeView expected, bool withTimes, HalfDone? half)
    {
        NodeAttributes a = Attributes, b = expected.Attributes;
        if (a.Mode != b.Mode) return $"mode {Octal(a.Mode)} in place of {Octal(b.Mode)}";
        if (a.Links != b.Links) return $"{a.Links} links in place of {b.Links}";
        // A directory's size is its own affair.
        if (a.Size != b.Size && a.Kind != NodeKind.Directory) return $"{a.Size} bytes in place of {b.Size}";
        if ((a.UserId, a.GroupId, a.Device) != (b.UserId, b.GroupId, b.Device)) return $"owner {a.UserId}:{a.GroupId}, device {a.Device} in place of {b.UserId}:{b.GroupId}, {b.Device}";
        if (withTimes && Times(a) != Times(b)) return $"times {Times(a)} in place of {Times(b)}";
        if (!Target.AsSpan().SequenceEqual(expected.Target)) return $"it points to '{Encoding.Latin1.GetString(Target)}' in place of '{Encoding.Latin1.GetString(expected.Target)}'";
        return ExtendedDifference(expected) ?? ContentDifference(expected, half);
    }

    public void AddTo(ref HashCode hash)
    {
        NodeAttributes a = Attributes;
        hash.Add((a.Mode, a.Links, a.UserId, a.GroupId, a.Size, a.Device));
        hash.Add(Times(a));
        hash.AddBytes(Target);
        foreach ((string name, byte[] value) in Extended)
        {
            hash.Add(name, StringComparer.Ordinal);
            hash.AddBytes(value);
        }

        foreach ((long page, byte[] bytes) in Content.Pages)
        {
            hash.Add(page);
            hash.AddBytes(bytes);
        }
    }

    private static (long, long, long, long) Times(in NodeAttributes a) => (a.AccessTime, a.ModificationTime, a.ChangeTime, a.BirthTime);

    private static string Octal(uint mode) => "0" + Convert.ToString(mode, 8);

    private string? ExtendedDifference(NodeView expected)
    {
        foreach ((string name, byte[] value) in expected.Extended)
        {
            if (!Extended.TryGetValue(name, out byte[]? found)) return $"the attribute '{name}' is missing";
            if (!found.AsSpan().SequenceEqual(value)) return $"the attribute '{name}' has another value of {found.Length} bytes in place of {value.Length}";
        }

        foreach (string name in Extended.Keys) if (!expected.Extended.ContainsKey(name)) return $"there is an attribute '{name}'";
        return null;
    }

    private string? ContentDifference(NodeView expected, HalfDone? half)
    {
        foreach (long index in Content.Pages.Keys.Concat(expected.Content.Pages.Keys))
        {
            ReadOnlySpan<byte> found = Content.Page(index), right = expected.Content.Page(index);
            if (found.SequenceEqual(right)) continue;
            ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(found), old = MemoryMarshal.Cast<byte, ulong>(right), after = MemoryMarshal.Cast<byte, ulong>(half is null ? right : half.After.Page(index));
            for (int i = 0; i < words.Length; i++)
            {
                long at = (index * SparseContent.PageBytes) + (i * WordBytes);
                if (words[i] == old[i]) continue;
                bool isInRange = half is not null && at + WordBytes > half.Offset && at < half.Offset + half.Length;
                // Behind the end a word may be old while its bytes before the end are new.
                if (isInRange && words[i] == after[i]) continue;
                if (at >= expected.Attributes.Size) continue;
                ulong mask = expected.Attributes.Size - at >= WordBytes ? ulong.MaxValue : (1UL << (int)(8 * (expected.Attributes.Size - at))) - 1;
                if (((words[i] ^ old[i]) & mask) == 0 || (isInRange && ((words[i] ^ after[i]) & mask) == 0)) continue;
                return string.Create(CultureInfo.InvariantCulture, $"byte {at} shows {Stamped.Describe(words[i])} in place of {Stamped.Describe(old[i])}{(isInRange ? $" or {Stamped.Describe(after[i])}" : "")}");
            }
        }

        return null;
    }
}

/// <summary>Bytes that tell which operation wrote them.</summary>
internal static class Stamped
{
    private const int WordBytes = 8;

    /// <summary>What an operation writes at an offset: its number above, the place below.</summary>
    public static byte[] Bytes(int operation, long offset, int length)
    {
        byte[] bytes = new byte[length];
        Span<byte> word = stackalloc byte[WordBytes];
        for (int i = 0; i < length; i++)
        {
            long at = offset + i;
            BitConverter.TryWriteBytes(word, ((ulong)(uint)(operation + 1) << 40) | ((ulong)(at / WordBytes) & 0xff_ffff_ffff) | 1UL << 39);
            bytes[i] = word[(int)(at % WordBytes)];
        }

        return bytes;
    }

    public static string Describe(ulong word) => word == 0 ? "zeros" : word >> 40 == 0 ? $"0x{word:x16}" : $"what operation {(word >> 40) - 1} wrote (0x{word:x16})";
}
