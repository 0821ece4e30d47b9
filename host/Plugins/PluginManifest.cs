namespace StoragePlugins.Host.Plugins;

/// <summary>What a plugin says of itself, read from its metadata without running any of its code.</summary>
internal sealed record PluginManifest
{
    /// <summary>The name of <see cref="StoragePluginAttribute"/>.</summary>
    public required string Name { get; init; }

    /// <summary>Its sentence for lists; may be empty.</summary>
    public required string Description { get; init; }

    /// <summary>The informational version, without the commit.</summary>
    public required string Version { get; init; }

    /// <summary>Absolute path of the assembly that carries the attribute.</summary>
    public required string MainAssembly { get; init; }

    /// <summary>".NETCoreApp,Version=v10.0"; empty when not recorded.</summary>
    public required string TargetFramework { get; init; }

    /// <summary>The contracts that it was built against; null without a reference to them.</summary>
    public required Version? ContractsVersion { get; init; }

    /// <summary>The exported strategies.</summary>
    public required IReadOnlyList<StrategyManifest> Strategies { get; init; }

    /// <summary>The assemblies that the main assembly references, in ordinal order.</summary>
    public required IReadOnlyList<PluginReference> References { get; init; }

    /// <summary>Lower-case hexadecimal SHA-256 of the main assembly.</summary>
    public required string Sha256 { get; init; }
}

/// <summary>A strategy as declared in metadata.</summary>
/// <param name="Kind">Which contract it is exported as.</param>
/// <param name="Id">What configurations call it.</param>
/// <param name="ClassName">Full name of the class.</param>
/// <param name="Summary">One sentence; may be empty.</param>
/// <param name="Unsafe">Why it can lose acknowledged data; null when it cannot.</param>
/// <param name="OptionsType">Full name of its options class; null without options.</param>
internal sealed record StrategyManifest(StrategyKind Kind, string Id, string ClassName, string Summary, string? Unsafe, string? OptionsType);

/// <summary>A reference of a plugin's main assembly.</summary>
/// <param name="Name">Simple name.</param>
/// <param name="Version">Version compiled against.</param>
/// <param name="Origin">Where it will be taken from.</param>
internal sealed record PluginReference(string Name, Version Version, ReferenceOrigin Origin);

/// <summary>Where a referenced assembly will come from.</summary>
internal enum ReferenceOrigin
{
    /// <summary>The host's copy, common to all (<see cref="SharedAssemblies"/>).</summary>
    Shared = 0,

    /// <summary>The plugin's own folder; other plugins may have other versions.</summary>
    Private,

    /// <summary>The .NET runtime.</summary>
    Framework,

    /// <summary>Nowhere.</summary>
    Missing,
}
