using System.Text;

namespace StoragePlugins.Analyzers;

/// <summary>The host's rule for ids (SP1012), and ids that follow it.</summary>
internal static class StrategyId
{
    /// <summary>What the host accepts, in its words.</summary>
    public const string Expected = "1 to 32 of a-z 0-9 -, starting with a letter";

    private const int MaxLength = 32;

    // What class names end with, longest first, and what an id does not repeat: its kind is known.
    private static readonly string[] s_suffixes =
        ["OrderingPrimitive", "MetadataJournal", "MediumFactory", "BlockFormat", "Ordering", "Primitive", "Journal", "Factory", "Format", "Medium", "Strategy"];

    /// <summary>Whether the host accepts it.</summary>
    public static bool IsValid(string id)
        => id.Length is >= 1 and <= MaxLength && id[0] is >= 'a' and <= 'z' && id.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-');

    /// <summary>An id from the name of a class: <c>WriteThroughOrdering</c> becomes <c>write-through</c>. Null when there is none in it.</summary>
    public static string? FromClassName(string name)
    {
        string? suffix = s_suffixes.FirstOrDefault(each => name.Length > each.Length && name.EndsWith(each, StringComparison.Ordinal));
        return FromText(suffix is null ? name : name.Substring(0, name.Length - suffix.Length));
    }

    /// <summary>The valid id nearest to a text; null when nothing of it can be kept.</summary>
    public static string? FromText(string text)
    {
        var id = new StringBuilder();
        for (int i = 0; i < text.Length && id.Length < MaxLength; i++)
        {
            char c = text[i];
            bool isUpper = c is >= 'A' and <= 'Z';
            bool isWord = isUpper || c is >= 'a' and <= 'z' || (c is >= '0' and <= '9' && id.Length > 0);
            bool startsWord = !isWord || (isUpper && i > 0 && (text[i - 1] is >= 'a' and <= 'z' || (i + 1 < text.Length && text[i + 1] is >= 'a' and <= 'z')));
            if (startsWord && id.Length > 0 && id[id.Length - 1] != '-') id.Append('-');
            if (isWord && id.Length < MaxLength) id.Append(char.ToLowerInvariant(c));
        }

        string result = id.ToString().TrimEnd('-');
        return IsValid(result) ? result : null;
    }
}
