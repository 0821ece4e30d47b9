using System.Text.RegularExpressions;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Diagnostics;

public sealed partial class DiagnosticPagesTests
{
    private static readonly string[] s_headings = ["## What it means", "## Example", "## Why it happens", "## What happens now", "## How to fix it"];

    [Fact]
    public void Every_code_in_the_sources_has_a_page_and_every_page_a_code()
    {
        string[] used = [.. UsedCodes()];
        string[] pages = [.. Pages().Select(page => Path.GetFileNameWithoutExtension(page))];
        Assert.True(used.Length > 40, "the scan finds the codes");
        Assert.Equal([], used.Except(pages).Order());
        Assert.Equal([], pages.Except(used).Order());
    }

    [Fact]
    public void Every_page_has_all_its_parts()
    {
        Assert.NotEmpty(Pages());
        Assert.All(Pages(), page =>
        {
            string[] lines = File.ReadAllLines(page);
            Assert.StartsWith($"# {Path.GetFileNameWithoutExtension(page)}: ", lines[0], StringComparison.Ordinal);
            Assert.Equal(s_headings, lines.Where(line => line.StartsWith("## ", StringComparison.Ordinal)));
            // What the host says, or what the compiler says of an author's code.
            Assert.Contains(lines, line => (line.StartsWith("sphost: ", StringComparison.Ordinal) || CompilerLine().IsMatch(line))
                && line.Contains(Path.GetFileNameWithoutExtension(page), StringComparison.Ordinal));
        });
    }

    private static IEnumerable<string> Pages() => Directory.EnumerateFiles(Path.Combine(Fixture.Metadata("RepositoryRoot"), "docs", "diagnostics"), "SP*.md");

    private static IEnumerable<string> UsedCodes()
        => (from folder in new[] { "analyzers", "conformance", "contracts", "host", "journaling", "media", "plugins" }
            from file in Directory.EnumerateFiles(Path.Combine(Fixture.Metadata("RepositoryRoot"), folder), "*.cs", SearchOption.AllDirectories)
            from line in File.ReadLines(file)
            where !line.TrimStart().StartsWith("///", StringComparison.Ordinal)
            from Match literal in StringLiteral().Matches(line)
            from Match code in Code().Matches(literal.Value)
            select code.Value).Distinct();

    [GeneratedRegex("\"(?:[^\"\\\\]|\\\\.)*\"")]
    private static partial Regex StringLiteral();

    [GeneratedRegex(@"^\w+\.cs\([0-9]+,[0-9]+\): warning SP91[0-9]{2}: ")]
    private static partial Regex CompilerLine();

    [GeneratedRegex(@"\bSP[0-9]{4}\b")]
    private static partial Regex Code();
}
