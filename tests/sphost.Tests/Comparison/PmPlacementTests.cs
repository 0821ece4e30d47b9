using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Tests.Comparison;

/// <summary>Where journals in persistent memory lie while they are measured.</summary>
public sealed class PmPlacementTests
{
    private static PipelineDefinition Pm => BuiltInPipelines.All.First(pipeline => pipeline.Name == BuiltInPipelines.Qcow2Pm);

    [Fact]
    public void Journal_without_a_place_gets_one_and_a_twin_whose_image_is_there_too()
    {
        PmPlacement.Placed[] placed = [.. PmPlacement.Place(Pm, "/pm")];
        Assert.Equal(["qcow2-pm", "qcow2-pm-image"], placed.Select(p => p.Pipeline.Name));
        Assert.All(placed, p => Assert.Equal(["path", "emulated"], p.Pipeline.Journal.Options.Select(option => option.Name)));
        Assert.Equal(["file"], placed[0].Pipeline.Media.Select(use => use.Id));
        Assert.Equal(["pm", "file"], placed[1].Pipeline.Media.Select(use => use.Id));
        Assert.Null(placed[0].Folder);
        Assert.StartsWith("/pm/", placed[1].Folder, StringComparison.Ordinal);
    }

    [Fact]
    public void Journal_with_a_place_of_its_own_keeps_it()
    {
        PipelineDefinition own = Pm with { Journal = Pm.Journal with { Options = [OptionSetting.FromCommandLine("path", "/mnt/dax/journal")] } };
        PmPlacement.Placed placed = Assert.Single(PmPlacement.Place(own, "/pm"));
        Assert.Same(own, placed.Pipeline);
        Assert.Null(PmPlacement.DirectoryFor([own], null));
    }

    [Fact]
    public void Nothing_is_asked_of_shared_memory_for_pipelines_that_do_not_want_it()
    {
        Assert.Null(PmPlacement.DirectoryFor(BuiltInPipelines.All.Where(pipeline => pipeline.Name != BuiltInPipelines.Qcow2Pm), "/pm"));
        Assert.Equal("/pm", PmPlacement.DirectoryFor(BuiltInPipelines.All, "/pm"));
    }
}
