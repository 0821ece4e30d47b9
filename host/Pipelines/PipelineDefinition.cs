namespace StoragePlugins.Host.Pipelines;

/// <summary>A pipeline as configured: which strategies with which options. Nothing of it is loaded yet.</summary>
internal sealed record PipelineDefinition
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>For people; may be empty.</summary>
    public string Description { get; init; } = "";

    /// <summary>The block format.</summary>
    public required StrategyUse Format { get; init; }

    /// <summary>The metadata journal.</summary>
    public required StrategyUse Journal { get; init; }

    /// <summary>The ordering primitive.</summary>
    public required StrategyUse Ordering { get; init; }

    /// <summary>The media, outermost first; the last stands on nothing.</summary>
    public required IReadOnlyList<StrategyUse> Media { get; init; }

    /// <summary>The file that defines it; null for a built-in one.</summary>
    public string? Source { get; init; }

    /// <summary>All its strategies, from the format to the innermost medium.</summary>
    public IEnumerable<StrategyUse> Uses => [Format, Journal, Ordering, .. Media];
}

/// <summary>One strategy in a pipeline.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Id">Its id.</param>
/// <param name="Options">Its options as written; checked against the strategy's own class when the pipeline is validated or opened.</param>
/// <param name="KeyPath">Where in the configuration, for messages: <c>pipelines.fast.journal</c>.</param>
/// <param name="Where">File and position, for messages; null when built in.</param>
internal sealed record StrategyUse(Plugins.StrategyKind Kind, string Id, IReadOnlyList<OptionSetting> Options, string KeyPath, string? Where)
{
    /// <summary>The versions of its plugin that are meant; null for what the plain id means.</summary>
    public Plugins.VersionRequest? Version { get; init; }
}

/// <summary>An option as written.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Its value.</param>
/// <param name="KeyPath">For messages.</param>
/// <param name="Where">File and position, for messages.</param>
internal sealed record OptionSetting(string Name, ConfigNode Value, string KeyPath, string? Where)
{
    /// <summary>An option of a command line, <c>-o name=value</c>; its text takes the type that the option has.</summary>
    public static OptionSetting FromCommandLine(string name, string value)
        => new(name, new ConfigScalar(default, ConfigScalarKind.CommandLine, value), name, null);
}

/// <summary>A disk that a configuration names, to be exported under its name.</summary>
/// <param name="Name">The export's name.</param>
/// <param name="Image">Absolute path of the image.</param>
/// <param name="Pipeline">Its pipeline; null for the default of the image's format.</param>
/// <param name="Size">Bytes of the image to be made when it is missing; null when it must be there.</param>
/// <param name="ReadOnly">Serve it for reading.</param>
/// <param name="Description">For people; may be empty.</param>
internal sealed record DiskDefinition(string Name, string Image, string? Pipeline, long? Size, bool ReadOnly, string Description);

/// <summary>The pipelines that every host has.</summary>
internal static class BuiltInPipelines
{
    /// <summary>Raw images.</summary>
    public const string Raw = "raw";

    /// <summary>qcow2 by QEMU's order of flushes.</summary>
    public const string Qcow2Ordered = "qcow2-ordered";

    /// <summary>qcow2 with a journal inside the image.</summary>
    public const string Qcow2Journal = "qcow2-journal";

    /// <summary>qcow2 with a journal in persistent memory, beside the image unless a configuration says where.</summary>
    public const string Qcow2Pm = "qcow2-pm";

    /// <summary>qcow2 by the same order, where only the last flush need wait.</summary>
    public const string Qcow2Barrier = "qcow2-barrier";

    /// <summary>A file system in an image that is mapped into memory.</summary>
    public const string Pmfs = "pmfs";

    /// <summary>What a new image gets when nothing is said.</summary>
    public const string Default = Qcow2Journal;

    /// <summary>All of them. Their names mean the same everywhere: a configuration cannot redefine them.</summary>
    public static IReadOnlyList<PipelineDefinition> All { get; } =
    [
        Define(Qcow2Journal, "qcow2", "internal", "fdatasync", "qcow2 with a journal inside the image: one fdatasync a guest flush"),
        Define(Qcow2Ordered, "qcow2", "ordered", "fdatasync", "qcow2 as QEMU keeps it: an fdatasync wherever order matters"),
        Define(Qcow2Pm, "qcow2", "pm", "fdatasync", "qcow2 with a journal in persistent memory: metadata and short writes cost no fdatasync"),
        Define(Qcow2Barrier, "qcow2", "ordered", "barrierfs", "qcow2 as QEMU keeps it, a barrier where order matters; one fdatasync a guest flush for durability",
            // fdatabarrier(2) of the BarrierFS kernel, x86-64; never called on a kernel that is not positively identified as that one.
            [OptionSetting.FromCommandLine("syscall", "315")]),
        Define(Raw, "raw", "ordered", "fdatasync", "the image's bytes are the disk's; one fdatasync a guest flush"),
        // It has a journal of its own, and asks for no flush but the last.
        Define(Pmfs, "pmfs", "ordered", "fdatasync", "a file system in mapped persistent memory: every call is durable when it returns") with
        {
            Media = [Use(Plugins.StrategyKind.Medium, Plugins.BuiltInStrategies.PmMedium), Use(Plugins.StrategyKind.Medium, Plugins.BuiltInStrategies.FileMedium)],
        },
    ];

    /// <summary>The built-in pipeline for a format; null when there is none.</summary>
    public static PipelineDefinition? ForFormat(string format)
        => format == "qcow2" ? All.First(pipeline => pipeline.Name == Default) : All.FirstOrDefault(pipeline => pipeline.Format.Id == format);

    /// <summary>The built-in pipeline of a format without a journal of its own, for images that cannot be marked.</summary>
    public static PipelineDefinition? WithoutJournal(string format) => All.FirstOrDefault(pipeline => pipeline.Format.Id == format && pipeline.Journal.Id == "ordered");

    private static PipelineDefinition Define(
        string name, string format, string journal, string ordering, string description, IReadOnlyList<OptionSetting>? orderingOptions = null) => new()
    {
        Name = name,
        Description = description,
        Format = Use(Plugins.StrategyKind.Format, format),
        Journal = Use(Plugins.StrategyKind.Journal, journal),
        Ordering = Use(Plugins.StrategyKind.Ordering, ordering) with { Options = orderingOptions ?? [] },
        Media = [Use(Plugins.StrategyKind.Medium, Plugins.BuiltInStrategies.FileMedium)],
    };

    private static StrategyUse Use(Plugins.StrategyKind kind, string id) => new(kind, id, [], kind.ToString().ToLowerInvariant(), null);
}
