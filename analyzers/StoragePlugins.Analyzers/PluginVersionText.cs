namespace StoragePlugins.Analyzers;

/// <summary>
/// The form of a plugin's informational version. The host compares versions as semantic ones and numbers by value; what is not of this
/// form it compares as text, and then "v10" is below "v9", and no <c>id@range</c> of a configuration covers it.
/// </summary>
internal static class PluginVersionText
{
    /// <summary>The form, in words.</summary>
    public const string Expected = "numbers with dots, like 1.2.3 or 1.2.3-beta.1";

    // An assembly version has four.
    private const int MaxNumbers = 4;

    /// <summary>Whether the host's comparison gives it its meaning.</summary>
    public static bool IsValid(string version)
    {
        string[] parts = version.Split(['+'], 2)[0].Split(['-'], 2);
        string[] numbers = parts[0].Split('.');
        return numbers.Length <= MaxNumbers
            && numbers.All(number => number.Length > 0 && number.All(IsDigit) && int.TryParse(number, out _))
            && (parts.Length == 1 || parts[1].Split('.').All(IsLabel));
    }

    // A number in a pre-release has no leading zero (Semantic Versioning 2.0.0, §9).
    private static bool IsLabel(string label)
        => label.Length > 0 && label.All(c => IsDigit(c) || c is >= 'a' and <= 'z' or >= 'A' and <= 'Z' or '-')
            && !(label.Length > 1 && label[0] == '0' && label.All(IsDigit));

    private static bool IsDigit(char c) => c is >= '0' and <= '9';
}
