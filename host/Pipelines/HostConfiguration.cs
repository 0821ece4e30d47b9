using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Pipelines;

/// <summary>A configuration file, read; or the built-in pipelines alone.</summary>
internal sealed class HostConfiguration
{
    /// <summary>Without a file.</summary>
    public static HostConfiguration BuiltInOnly { get; } = new();

    /// <summary>Absolute path; null without a file.</summary>
    public string? File { get; init; }

    /// <summary>Absolute paths of further plugin directories.</summary>
    public IReadOnlyList<string> PluginDirectories { get; init; } = [];

    /// <summary>SHA-256 of the plugins that may be loaded; null for any.</summary>
    public IReadOnlySet<string>? AllowedPlugins { get; init; }

    /// <summary>The pipelines that the file defines, in its order.</summary>
    public IReadOnlyList<PipelineDefinition> Defined { get; init; } = [];

    /// <summary>The disks that the file names, in its order.</summary>
    public IReadOnlyList<DiskDefinition> Disks { get; init; } = [];

    /// <summary>How the host is watched.</summary>
    public TelemetrySettings Telemetry { get; init; } = TelemetrySettings.None;

    /// <summary>What is wrong with its shape; the strategies and their options are <see cref="PipelineValidator"/>'s.</summary>
    public IReadOnlyList<Diagnostic> Problems { get; init; } = [];

    /// <summary>Built-in pipelines, then the file's.</summary>
    public IEnumerable<PipelineDefinition> Pipelines => BuiltInPipelines.All.Concat(Defined);

    /// <summary>The pipeline of this name.</summary>
    /// <exception cref="DiagnosticException">SP2009: there is none.</exception>
    public PipelineDefinition Pipeline(string name)
        => Pipelines.FirstOrDefault(pipeline => pipeline.Name == name)
            ?? throw new DiagnosticException("SP2009", $"there is no pipeline '{name}'", File, fix: Spelling.Suggest(name, [.. Pipelines.Select(pipeline => pipeline.Name)]));
}
