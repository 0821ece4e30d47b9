using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers.Tests;

public sealed class RuleTests
{
    public static TheoryData<string> Ids() => [.. AuthorsProject.Analyzers.SelectMany(analyzer => analyzer.SupportedDiagnostics).Select(rule => rule.Id)];

    [Theory]
    [MemberData(nameof(Ids))]
    public void A_rule_links_to_its_page_and_the_page_shows_its_message(string id)
    {
        DiagnosticDescriptor rule = AuthorsProject.Analyzers.SelectMany(analyzer => analyzer.SupportedDiagnostics).Single(each => each.Id == id);
        string root = typeof(RuleTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;
        string page = Path.Combine(root, rule.HelpLinkUri);
        Assert.Equal($"{id}.md", Path.GetFileName(page));
        string message = Regex.Replace(Regex.Escape(rule.MessageFormat.ToString()), @"\\\{[0-9]}", ".+");
        Assert.Contains(File.ReadAllLines(page), line => Regex.IsMatch(line, $"^\\w+\\.cs\\([0-9]+,[0-9]+\\): warning {id}: {message}$"));
    }

    [Fact]
    public void Ids_are_unique_and_every_one_is_a_warning_that_is_on()
    {
        DiagnosticDescriptor[] rules = [.. AuthorsProject.Analyzers.SelectMany(analyzer => analyzer.SupportedDiagnostics)];
        Assert.Equal(Enumerable.Range(9101, 9).Select(number => $"SP{number}"), rules.Select(rule => rule.Id).Order());
        Assert.All(rules, rule => Assert.True(rule is { DefaultSeverity: DiagnosticSeverity.Warning, IsEnabledByDefault: true }));
    }
}
