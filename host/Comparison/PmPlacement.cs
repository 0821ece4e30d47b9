using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Comparison;

/// <summary>Where pipelines that want persistent memory get it while they are measured: in a folder that is on it, or in memory that stands in for it.</summary>
internal static class PmPlacement
{
    /// <summary>Where memory is a file on most systems.</summary>
    public const string SharedMemory = "/dev/shm";

    private const string PmJournal = "pm";

    /// <summary>A pipeline as it is measured, and the folder of its images where that is another one than everybody's.</summary>
    internal sealed record Placed(PipelineDefinition Pipeline, string? Folder);

    /// <summary>Where persistent memory is, for these pipelines; null when none of them wants it, or there is none.</summary>
    /// <param name="pipelines">What is measured.</param>
    /// <param name="named">What the user says; null for memory that stands in for it, where there is a folder of it.</param>
    public static string? DirectoryFor(IEnumerable<PipelineDefinition> pipelines, string? named)
        => !pipelines.Any(NeedsPlace) ? null : named ?? (Directory.Exists(SharedMemory) ? SharedMemory : null);

    /// <summary>Gives a pipeline with a journal in persistent memory and no place of its own for it a place, and a twin whose image is there as well.</summary>
    public static IEnumerable<Placed> Place(PipelineDefinition pipeline, string? folder)
    {
        if (folder is null || !NeedsPlace(pipeline)) return [new Placed(pipeline, null)];
        PipelineDefinition placed = pipeline with { Journal = WithOptions(pipeline.Journal, Path.Combine(folder, pipeline.Name + ".pmj")) };
        if (pipeline.Media is not [{ Id: BuiltInStrategies.FileMedium }]) return [new Placed(placed, null)];
        PipelineDefinition twin = pipeline with
        {
            Name = pipeline.Name + "-image",
            Description = pipeline.Description + "; the image there as well",
            Journal = WithOptions(pipeline.Journal, Path.Combine(folder, pipeline.Name + "-image.pmj")),
            Media = [new StrategyUse(StrategyKind.Medium, BuiltInStrategies.PmMedium, [Emulated], "--pm", null), .. pipeline.Media],
        };
        return [new Placed(placed, null), new Placed(twin, Path.Combine(folder, "images"))];
    }

    private static bool NeedsPlace(PipelineDefinition pipeline) => pipeline.Journal.Id == PmJournal && pipeline.Journal.Options.All(option => option.Name != "path");

    private static OptionSetting Emulated => OptionSetting.FromCommandLine("emulated", "true");

    private static StrategyUse WithOptions(StrategyUse journal, string path)
        => journal with { Options = [.. journal.Options, OptionSetting.FromCommandLine("path", path), Emulated] };
}
