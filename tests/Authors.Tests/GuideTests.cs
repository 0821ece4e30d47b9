namespace StoragePlugins.Authors.Tests;

/// <summary>docs/plugin-authors.md: every command of the guide, word for word, in one shell.</summary>
[Collection(WorkshopCollection.Name)]
public sealed class GuideTests(Workshop workshop)
{
    [Fact]
    public void Every_command_of_the_guide_works_one_after_the_other()
    {
        IReadOnlyList<IReadOnlyList<string>> blocks = CommandBlock.All(Build.Read("docs", "plugin-authors.md"));
        Assert.Equal(3, blocks.Count);
        // What the workshop has done with a version of its own.
        Assert.Equal(["dotnet pack -c Release", "dotnet new install artifacts/packages/StoragePlugins.Templates.*.nupkg"], blocks[0]);
        string folder = Directory.CreateDirectory(Path.Combine(workshop.Root, "guide")).FullName, script = Path.Combine(folder, "guide.sh");
        File.WriteAllLines(script, ["set -e", $"export DOTNET_CLI_HOME={folder}/home", $"dotnet new install {workshop.Package("StoragePlugins.Templates")}", .. blocks[1].Concat(blocks[2]).Select(CommandBlock.Hastened), "wait"]);
        string said = workshop.Shell.Run(folder, $"bash {script}");

        Assert.Contains("Passed!", said, StringComparison.Ordinal);
        Assert.Contains("would be loaded", said, StringComparison.Ordinal);
        Assert.Contains("disk: with-mine → qcow2-ordered, clients waited", said, StringComparison.Ordinal);
        Assert.Contains("disk: qcow2-ordered → with-mine, clients waited", said, StringComparison.Ordinal);
        Assert.Contains("ordering mine", said, StringComparison.Ordinal);
        Assert.Contains("closed cleanly", File.ReadAllText(Path.Combine(folder, "Mine", "serve.log")), StringComparison.Ordinal);
    }
}
