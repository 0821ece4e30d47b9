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
        (string Path, string Text)[] files = [.. Sources(folder)];
        Assert.NotEmpty(files);
        ImmutableArray<Diagnostic> found = await AuthorsProject.DiagnoseAsync(AuthorsProject.Compile(AssemblyOf(folder), files));
        Assert.Empty(found.Where(diagnostic => diagnostic.Severity >= DiagnosticSeverity.Warning).Select(diagnostic => diagnostic.ToString()));
    }

    /// <summary>That the sources are clean says something only if the rules see them: one line of each made worse is found.</summary>
    [Theory]
    [InlineData("journaling", "HomeSync.cs", "            _failure ??= e;\n            throw;\n", "", "SP9106", 3)]
    [InlineData("plugins/BarrierFS", "DeferredMedium.Driver.cs", "_poison.Set(\"fdatasync\", e);", "", "SP9106", 1)]
    [InlineData("plugins/Raw", "Plugin.cs", "[assembly: StoragePlugin(\"Raw\")]", "", "SP9101", 1)]
    [InlineData("plugins/Raw", "RawFormat.cs", "[Strategy(\"raw\"", "[Strategy(\"Raw\"", "SP9104", 1)]
    [InlineData("plugins/Raw", "RawFormat.cs", "[Export(typeof(IBlockFormat))]", "", "SP9103", 1)]
    [InlineData("plugins/SimulatedMedia", "DeviceClock.cs", "[LibraryImport(", "[System.Runtime.InteropServices.SuppressGCTransition, LibraryImport(", "SP9107", 1)]
    public async Task One_line_made_worse_is_told(string folder, string file, string line, string worse, string rule, int times)
    {
        (string Path, string Text)[] files = [.. Sources(folder)];
        int changed = Array.FindIndex(files, each => Path.GetFileName(each.Path) == file);
        Assert.Contains(line, files[changed].Text, StringComparison.Ordinal);
        files[changed].Text = files[changed].Text.Replace(line, worse, StringComparison.Ordinal);
        ImmutableArray<Diagnostic> found = await AuthorsProject.DiagnoseAsync(AuthorsProject.Compile(AssemblyOf(folder), files));
        Assert.Equal(Enumerable.Repeat(rule, times), found.Select(diagnostic => diagnostic.Id));
    }

    // Its own name: libraries of the repository show their internals to it.
    private static string AssemblyOf(string folder) => Path.GetFileNameWithoutExtension(Directory.EnumerateFiles(Path.Combine(Root, folder), "*.csproj").Single());

    private static IEnumerable<(string Path, string Text)> Sources(string folder)
        => Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories).Select(file => (file, File.ReadAllText(file)));

    [Fact]
    public void The_plugins_of_the_repository_are_found() => Assert.True(Plugins().Count >= 9);
}
