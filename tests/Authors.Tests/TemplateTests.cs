namespace StoragePlugins.Authors.Tests;

/// <summary>From <c>dotnet new</c> to a plugin that is checked, tested, crash-tested and served, by the very commands of the README that the template makes.</summary>
[Collection(WorkshopCollection.Name)]
public sealed class TemplateTests(Workshop workshop)
{
    [Theory]
    [InlineData("ordering")]
    [InlineData("journal")]
    [InlineData("format")]
    [InlineData("medium")]
    public void Kind_becomes_a_working_plugin_by_the_commands_of_its_own_README(string kind)
    {
        string name = $"My.{char.ToUpperInvariant(kind[0])}{kind[1..]}2", id = $"my-{kind}2", folder = Path.Combine(workshop.Root, name);
        workshop.Shell.Run(workshop.Root, $"dotnet new storage-plugin --kind {kind} -n {name} {workshop.Hive}");
        IReadOnlyList<string> commands = CommandBlock.After(File.ReadAllText(Path.Combine(folder, "README.md")), "Build, test, drop in");
        Assert.Equal(["dotnet test", "dotnet build", "sphost plugins", "sphost conformance", "sphost crash-test", "sphost serve"], commands.Select(line => string.Join(' ', line.Split(' ').Take(2))));
        string[] said = [.. commands.SkipLast(1).Select(command => workshop.Shell.Run(folder, CommandBlock.Hastened(command)))];

        Assert.Contains("Passed!", said[0], StringComparison.Ordinal);
        Assert.Contains("0 Warning(s)", said[1], StringComparison.Ordinal);
        Assert.Contains($"{kind} '{id}'", said[2], StringComparison.Ordinal);
        Assert.Contains("would be loaded", said[2], StringComparison.Ordinal);
        Assert.DoesNotContain("SP1015", said[2], StringComparison.Ordinal);
        Assert.Contains(kind == "medium" ? "0 passed, 0 failed" : " passed, 0 failed", said[3], StringComparison.Ordinal);
        Assert.Contains($"with-{id}", said[4], StringComparison.Ordinal);
        RoundTrip.Through(workshop.Shell, folder, commands[^1]);
    }

    [Fact]
    public void Template_installs_from_its_folder_too_and_a_project_of_any_name_is_a_plugin_with_a_proper_id()
    {
        string hive = $"--debug:custom-hive {Path.Combine(workshop.Root, "folder-hive")}", folder = Path.Combine(workshop.Root, "from-folder");
        Directory.CreateDirectory(folder);
        workshop.Shell.Run(folder, $"dotnet new install {Path.Combine(Build.Repository, "templates", "StoragePlugins.Templates", "content", "storage-plugin")} {hive}");
        (string Name, string Id, string Namespace)[] expected =
        [
            ("FastBarrier", "fast-barrier", "FastBarrier"), ("my-own_thing", "my-own-thing", "my_own_thing"), ("3Com.Disk", "com-disk", "_3Com.Disk"),
            ("AnOrderingPrimitiveWithAVeryLongNameIndeed", "an-ordering-primitive-with-avery", "AnOrderingPrimitiveWithAVeryLongNameIndeed"),
        ];
        foreach ((string name, string id, string ns) in expected)
        {
            workshop.Shell.Run(folder, $"dotnet new storage-plugin --kind ordering -n {name} {hive}");
            string source = File.ReadAllText(Path.Combine(folder, name, name, "FlushOrdering.cs"));
            Assert.Contains($"[Strategy(\"{id}\",", source, StringComparison.Ordinal);
            Assert.Contains($"namespace {ns};", source, StringComparison.Ordinal);
        }

        Assert.Contains($"Include=\"StoragePlugins.Contracts\" Version=\"{Build.Version}\"", File.ReadAllText(Path.Combine(folder, "FastBarrier", "FastBarrier", "FastBarrier.csproj")), StringComparison.Ordinal);
    }
}
