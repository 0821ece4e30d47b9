using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace StoragePlugins.Authors.Tests;

/// <summary>What is in the packages, and that what they say of the host and of each other is so.</summary>
[Collection(WorkshopCollection.Name)]
public sealed partial class PackageTests(Workshop workshop)
{
    [Theory]
    [InlineData("StoragePlugins.Contracts", "build/StoragePlugins.Contracts.props", "build/StoragePlugins.Contracts.targets", "lib/net10.0/StoragePlugins.Contracts.dll", "lib/net10.0/StoragePlugins.Contracts.xml")]
    [InlineData("StoragePlugins.Client", "lib/net10.0/StoragePlugins.Client.dll", "lib/net10.0/StoragePlugins.Client.xml")]
    [InlineData("StoragePlugins.CrashKit", "lib/net10.0/StoragePlugins.CrashKit.dll", "lib/net10.0/StoragePlugins.CrashKit.xml")]
    [InlineData("StoragePlugins.Conformance", "lib/net10.0/StoragePlugins.Conformance.dll", "lib/net10.0/StoragePlugins.Conformance.xml")]
    [InlineData("StoragePlugins.Templates", "content/storage-plugin/.template.config/template.json", "content/storage-plugin/common/README.md")]
    public void Package_has_what_its_users_need(string id, params string[] files)
    {
        using ZipArchive package = ZipFile.OpenRead(workshop.Package(id));
        string[] there = [.. package.Entries.Select(entry => entry.FullName)];
        Assert.All(files.Append("README.md"), file => Assert.Contains(file, there));
        using Stream stream = package.GetEntry($"{id}.nuspec")!.Open();
        XElement metadata = XDocument.Load(stream).Root!.Elements().Single();
        Assert.False(string.IsNullOrWhiteSpace(Value(metadata, "description")));
        Assert.Equal("README.md", Value(metadata, "readme"));
        Assert.All(
            metadata.Descendants().Where(element => element.Name.LocalName == "dependency" && element.Attribute("id")!.Value.StartsWith("StoragePlugins.", StringComparison.Ordinal)),
            own => Assert.Equal(workshop.PackagesVersion, own.Attribute("version")!.Value));
    }

    [Fact]
    public void Contracts_carry_every_analyzer_that_the_repository_has()
    {
        string[] expected = [.. Directory.EnumerateFiles(Path.Combine(Build.Repository, "analyzers"), "*.csproj", SearchOption.AllDirectories)
            .Select(project => $"analyzers/dotnet/cs/{Path.GetFileNameWithoutExtension(project)}.dll").Order(StringComparer.Ordinal)];
        Assert.NotEmpty(expected);
        using ZipArchive package = ZipFile.OpenRead(workshop.Package("StoragePlugins.Contracts"));
        Assert.Equal(expected, package.Entries.Select(entry => entry.FullName).Where(name => name.StartsWith("analyzers/", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Plugin_has_its_private_dependencies_beside_it_and_none_of_what_the_host_shares()
    {
        string folder = Path.Combine(workshop.Root, "WithDependencies");
        workshop.Shell.Run(workshop.Root, $"dotnet new storage-plugin --kind medium -n WithDependencies {workshop.Hive}");
        string project = Path.Combine(folder, "WithDependencies", "WithDependencies.csproj");
        string[] referenced = ["Polly.Core", .. SharedByHost().Where(name => name.StartsWith("Microsoft.", StringComparison.Ordinal))];
        string references = string.Concat(referenced.Select(name => $"<PackageReference Include=\"{name}\" Version=\"{RepositoryVersions()[name]}\" />"));
        File.WriteAllText(project, File.ReadAllText(project).Replace("</Project>", $"<ItemGroup>{references}</ItemGroup></Project>", StringComparison.Ordinal));
        workshop.Shell.Run(folder, "dotnet build WithDependencies -c Release -o plugins/WithDependencies");
        string plugin = Path.Combine(folder, "plugins", "WithDependencies");
        Assert.Equal(
            ["Polly.Core.dll", "README.md", "WithDependencies.deps.json", "WithDependencies.dll", "WithDependencies.runtimeconfig.json"],
            Directory.EnumerateFiles(plugin).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        string dependencies = File.ReadAllText(Path.Combine(plugin, "WithDependencies.deps.json"));
        Assert.Contains("Polly.Core.dll", dependencies, StringComparison.Ordinal);
        Assert.All(SharedByHost(), name => Assert.DoesNotContain(name + ".dll", dependencies, StringComparison.Ordinal));
        Assert.DoesNotContain("warning", workshop.Shell.Run(folder, "sphost plugins check plugins/WithDependencies"), StringComparison.Ordinal);
    }

    [Fact]
    public void Author_who_references_the_contracts_hears_of_a_malformed_id_from_the_compiler()
    {
        string folder = Path.Combine(workshop.Root, "Malformed"), source = Path.Combine(folder, "Malformed", "FlushOrdering.cs");
        workshop.Shell.Run(workshop.Root, $"dotnet new storage-plugin --kind ordering -n Malformed {workshop.Hive}");
        File.WriteAllText(source, File.ReadAllText(source).Replace("[Strategy(\"malformed\"", "[Strategy(\"Not An Id\"", StringComparison.Ordinal));
        Assert.Contains("SP9104", workshop.Shell.Fail(folder, "dotnet build Malformed"), StringComparison.Ordinal);
    }

    [Fact]
    public void Packages_leave_to_the_host_exactly_what_it_shares()
    {
        string targets = Build.Read("contracts", "build", "StoragePlugins.Contracts.targets");
        string list = XDocument.Parse(targets).Descendants("_StoragePluginSharedPackages").Single().Value;
        Assert.Equal(SharedByHost(), list.Split(';', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("templates/StoragePlugins.Templates/content/storage-plugin/common/StoragePlugin1.Tests/StoragePlugin1.Tests.csproj")]
    [InlineData("samples/Directory.Packages.props")]
    public void Versions_of_template_and_samples_are_those_of_the_repository(string file)
    {
        Dictionary<string, string> versions = RepositoryVersions();
        (string Id, string Version)[] named = [.. XDocument.Parse(Build.Read(file)).Descendants()
            .Where(element => element.Attribute("Version") is not null)
            .Select(element => (element.Attribute("Include")!.Value, element.Attribute("Version")!.Value))
            .Where(package => !package.Item1.StartsWith("StoragePlugins.", StringComparison.Ordinal))];
        Assert.NotEmpty(named);
        Assert.All(named, package => Assert.Equal(versions[package.Id], package.Version));
    }

    [Fact]
    public void Template_and_samples_name_the_version_of_the_tree_where_nothing_else_is_said()
    {
        Assert.Contains($"\"defaultValue\": \"{Build.Version}\"", Build.Read("templates", "StoragePlugins.Templates", "content", "storage-plugin", ".template.config", "template.json"), StringComparison.Ordinal);
        Assert.Contains($"'$(StoragePluginsVersion)' == ''\">{Build.Version}<", Build.Read("samples", "Directory.Packages.props"), StringComparison.Ordinal);
        Assert.Equal(Version.Parse(Build.Version.Split('-')[0]).ToString(2) + ".0.0", typeof(IBlockFormat).Assembly.GetName().Version!.ToString());
    }

    private static string[] SharedByHost()
    {
        string[] names = [.. AssemblyName().Matches(Build.Read("host", "Plugins", "SharedAssemblies.cs")).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal)];
        Assert.True(names.Length >= 5 && names.Contains("StoragePlugins.Contracts"), "the host's list has moved");
        return names;
    }

    private static Dictionary<string, string> RepositoryVersions() => XDocument.Parse(Build.Read("Directory.Packages.props")).Descendants("PackageVersion")
        .ToDictionary(package => package.Attribute("Include")!.Value, package => package.Attribute("Version")!.Value);

    private static string? Value(XElement metadata, string name) => metadata.Elements().SingleOrDefault(element => element.Name.LocalName == name)?.Value;

    [GeneratedRegex("\"([A-Z][A-Za-z.]+)\"")]
    private static partial Regex AssemblyName();
}
