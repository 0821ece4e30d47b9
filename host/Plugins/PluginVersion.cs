using System.Globalization;

namespace StoragePlugins.Host.Plugins;

/// <summary>Compares informational versions as semantic versions: numbers by value, a pre-release below its release.</summary>
internal sealed class PluginVersion : IComparer<string>
{
    /// <summary>The one comparer.</summary>
    public static PluginVersion Comparer { get; } = new();

    /// <inheritdoc/>
    public int Compare(string? x, string? y)
    {
        (string core, string suffix) left = Split(x ?? ""), right = Split(y ?? "");
        int core = CompareParts(left.core, right.core, "0");
        if (core != 0) return core;
        if (left.suffix.Length == 0 || right.suffix.Length == 0) return right.suffix.Length.CompareTo(left.suffix.Length);
        return CompareParts(left.suffix, right.suffix, "");
    }

    private static (string Core, string Suffix) Split(string version)
    {
        string[] parts = version.Split('+', 2)[0].Split('-', 2);
        return (parts[0], parts.Length > 1 ? parts[1] : "");
    }

    private static int CompareParts(string left, string right, string absent)
    {
        string[] a = left.Split('.'), b = right.Split('.');
        for (int i = 0; i < Math.Max(a.Length, b.Length); i++)
        {
            string x = i < a.Length ? a[i] : absent, y = i < b.Length ? b[i] : absent;
            bool bothNumbers = ulong.TryParse(x, NumberStyles.None, CultureInfo.InvariantCulture, out ulong m)
                & ulong.TryParse(y, NumberStyles.None, CultureInfo.InvariantCulture, out ulong n);
            int order = bothNumbers ? m.CompareTo(n) : string.CompareOrdinal(x, y);
            if (order != 0) return order;
        }

        return 0;
    }
}
