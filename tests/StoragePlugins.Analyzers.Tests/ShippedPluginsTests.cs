using System.Collections.Immutable;
using System.Reflection;
using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers.Tests;

/// <summary>The rules are those that this repository's own plugins live by.</summary>
public sealed class ShippedPluginsTests
{
    public static TheoryData<string> Plugins()
        => [.. Directory.EnumerateFiles(Path.Combine(Root, "plugins"), "*.csproj", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Root, Path.GetDirectoryName(file)!))];

    private static string Root
        => typeof(ShippedPluginsTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;

    [Theory]
    [MemberData(nameof(Plugins))]
    [InlineData("journaling")]
    public async Task Sources_of_the_repository_give_no_warning(string folder)
    {
        (string, string)[] files =
        [
            .. Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories).Select(file => (file, File.ReadAllText(file))),
        ];
        Assert.NotEmpty(files);
        ImmutableArray<Diagnostic> found = await AuthorsProject.DiagnoseAsync(AuthorsProject.Compile("Shipped", files));
        Assert.Empty(found.Where(diagnostic => diagnostic.Severity >= DiagnosticSeverity.Warning).Select(diagnostic => diagnostic.ToString()));
    }

    [Fact]
    public void The_plugins_of_the_repository_are_found() => Assert.True(Plugins().Count >= 9);
}
