using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>How plugins are looked for and loaded.</summary>
internal sealed record CatalogOptions
{
    /// <summary>The host's own strategies.</summary>
    public IReadOnlyList<BuiltInStrategy> BuiltIn { get; init; } = BuiltInStrategies.All;

    /// <summary>True to inspect plugins and let go of them.</summary>
    public bool IsUnloadable { get; init; }

    /// <summary>Where plugins are copied to before they are loaded; null to load them where they lie. The catalog disposes it.</summary>
    public ShadowFolder? Shadow { get; init; }

    /// <summary>SHA-256 of the main assemblies that may be loaded, in lower-case hexadecimal; null for any.</summary>
    public IReadOnlySet<string>? AllowedHashes { get; init; }

    /// <summary>For the wait while a folder is being copied.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Adds what these options have against a plugin.</summary>
    public PluginProbeResult Judge(PluginProbeResult probe)
    {
        if (AllowedHashes is null || probe.Manifest is not { } manifest || AllowedHashes.Contains(manifest.Sha256)) return probe;
        return probe with
        {
            Findings = [Diagnostic.Error(
                "SP1024", $"plugin {manifest.Name} {manifest.Version} is not on the configuration's list of allowed plugins; it is not loaded", manifest.MainAssembly, found: $"SHA-256 {manifest.Sha256}",
                fix: "look at it, and add the hash to 'allowedPlugins' when it is what you want to run"), .. probe.Findings],
        };
    }
}
