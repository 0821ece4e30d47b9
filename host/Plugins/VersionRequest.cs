using NuGet.Versioning;

namespace StoragePlugins.Host.Plugins;

/// <summary>Which versions of a plugin are meant: <c>id@range</c> in a configuration, in NuGet's notation (<c>1.2</c> is that or newer, <c>[1.2]</c> that alone,
/// <c>[1.0,2.0)</c> from the one up to the other).</summary>
internal sealed class VersionRequest
{
    private readonly VersionRange _range;

    private VersionRequest(VersionRange range, string text) => (_range, Text) = (range, text);

    /// <summary>As written.</summary>
    public string Text { get; }

    /// <summary>Splits what a configuration names.</summary>
    /// <param name="text">An id, or an id, <c>@</c> and a range.</param>
    /// <param name="id">The id.</param>
    /// <param name="version">The versions meant; null for any.</param>
    /// <returns>False when there is an <c>@</c> and no range behind it.</returns>
    public static bool TrySplit(string text, out string id, out VersionRequest? version)
    {
        int at = text.IndexOf('@', StringComparison.Ordinal);
        (id, version) = (at < 0 ? text : text[..at], null);
        if (at < 0) return true;
        string range = text[(at + 1)..];
        if (range.Length == 0 || !VersionRange.TryParse(range, out VersionRange? parsed)) return false;
        version = new VersionRequest(parsed, range);
        return true;
    }

    /// <summary>Whether a plugin's version is meant. One that is no semantic version never is.</summary>
    public bool Covers(string version) => NuGetVersion.TryParse(version, out NuGetVersion? parsed) && _range.Satisfies(parsed);
}
