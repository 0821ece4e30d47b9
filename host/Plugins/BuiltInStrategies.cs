namespace StoragePlugins.Host.Plugins;

/// <summary>A strategy that is part of the host.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Id">Its id; a plugin cannot take it.</param>
/// <param name="Summary">One sentence.</param>
/// <param name="Options">Its options class; null without options.</param>
/// <param name="Create">Makes the one object.</param>
internal sealed record BuiltInStrategy(StrategyKind Kind, string Id, string Summary, Type? Options, Func<object> Create);

/// <summary>The strategies that the host brings itself.</summary>
internal static class BuiltInStrategies
{
    /// <summary>The medium that every pipeline stands on at last.</summary>
    public const string FileMedium = "file";

    /// <summary>A file that is mapped: persistent memory, or what stands in for it.</summary>
    public const string PmMedium = "pm";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<BuiltInStrategy> All { get; } =
    [
        new(StrategyKind.Medium, FileMedium, "a file or block device of the host, locked against QEMU and other hosts", null, static () => new Media.FileMediumFactory()),
        new(StrategyKind.Medium, PmMedium, "an image in mapped persistent memory; no flush reaches a disk", typeof(Media.Mapping.PmMediumOptions), static () => new Media.Mapping.PmMediumFactory()),
    ];
}
