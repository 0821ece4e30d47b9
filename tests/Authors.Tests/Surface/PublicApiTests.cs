namespace StoragePlugins.Authors.Tests.Surface;

/// <summary>
/// The promise of docs/plugin-compatibility.md. <c>contracts/PublicApi.txt</c> is the surface now: nobody changes what plugins are built against without noticing.
/// <c>contracts/PublicApi.released.txt</c>, once there is a release, is the surface that plugins in the field were built against: nobody takes anything away from it without a
/// new major version.
/// </summary>
public sealed class PublicApiTests
{
    private const string Switch = "STORAGEPLUGINS_ACCEPT_API";

    private const string Header = "# StoragePlugins.Contracts ";

    private static string Version => typeof(IBlockFormat).Assembly.GetName().Version!.ToString(2);

    [Fact]
    public void Public_surface_of_the_contracts_is_the_one_in_the_text_file()
    {
        string file = Path.Combine(Build.Repository, "contracts", "PublicApi.txt");
        string[] now = [Header + Version, .. PublicSurface.Of(typeof(IBlockFormat).Assembly)];
        if (Environment.GetEnvironmentVariable(Switch) == "1") File.WriteAllLines(file, now);
        string[] stored = File.ReadAllLines(file);
        Assert.True(
            stored.SequenceEqual(now),
            $"""
            The public surface of the contracts is not that of contracts/PublicApi.txt.
            {string.Join('\n', stored.Except(now).Select(line => "- " + line).Concat(now.Except(stored).Select(line => "+ " + line)))}
            When it is meant to be so: {Switch}=1 dotnet test tests/Authors.Tests -c Release --filter PublicApiTests
            """);
    }

    [Fact]
    public void What_was_released_is_still_there_or_the_version_says_so()
    {
        string file = Path.Combine(Build.Repository, "contracts", "PublicApi.released.txt");
        string[] released = File.Exists(file) ? File.ReadAllLines(file) : [Header + Version, .. PublicSurface.Of(typeof(IBlockFormat).Assembly)];
        Assert.Null(Objection(released, PublicSurface.Of(typeof(IBlockFormat).Assembly), System.Version.Parse(Version)));
    }

    [Fact]
    public void Taking_something_away_asks_for_a_new_major_version_and_adding_for_a_new_minor()
    {
        string[] stored = ["# StoragePlugins.Contracts 1.4", "A.B(): void", "A: interface"];
        Assert.Contains("2.0", Objection(stored, ["A: interface"], new Version(1, 5)), StringComparison.Ordinal);
        Assert.Null(Objection(stored, ["A: interface"], new Version(2, 0)));
        Assert.Contains("1.5", Objection(stored, ["A.B(): void", "A.C(): default void", "A: interface"], new Version(1, 4)), StringComparison.Ordinal);
        Assert.Null(Objection(stored, ["A.B(): void", "A.C(): default void", "A: interface"], new Version(1, 5)));
        Assert.Contains("default", Objection(stored, ["A.B(): void", "A.C(): void", "A: interface"], new Version(1, 5)), StringComparison.Ordinal);
        Assert.Null(Objection(stored, stored.Skip(1).ToArray(), new Version(1, 4)));
    }

    /// <summary>Why a surface may not be that of a version; null when it may.</summary>
    private static string? Objection(string[] released, IReadOnlyList<string> now, Version present)
    {
        Version before = System.Version.Parse(released[0].Replace(Header, "", StringComparison.Ordinal));
        if (present.Major > before.Major) return null;
        string[] was = released[1..], added = [.. now.Except(was)];
        if (was.Except(now).FirstOrDefault() is { } gone)
            return $"'{gone}' was taken away or changed: that is version {before.Major + 1}.0 of the tree, and every plugin has to be built anew. Prefer to add.";
        HashSet<string> interfaces = [.. was.Where(line => line.Contains(": interface", StringComparison.Ordinal)).Select(line => line.Split(':')[0])];
        if (added.FirstOrDefault(line => interfaces.Contains(line.Split('.')[0]) && MustBeImplemented(line)) is { } bare)
            return $"'{bare}' is a member of an interface that plugins implement: without a default body every one of them is broken.";
        return added.Length > 0 && present.Minor <= before.Minor
            ? $"'{added[0]}' was added, and a plugin that uses it must not load in an older host: that is version {before.Major}.{before.Minor + 1} of the tree (Directory.Build.props)."
            : null;
    }

    private static bool MustBeImplemented(string member) =>
        member.Contains(": ", StringComparison.Ordinal) && !member.Contains(": default ", StringComparison.Ordinal) && !member.Contains(": const ", StringComparison.Ordinal)
        && !member.Contains(": static ", StringComparison.Ordinal) && !member.Contains(": interface", StringComparison.Ordinal);
}
