using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary>One command's configuration, plugins and composer. Disposing it lets go of the plugins.</summary>
internal sealed class HostSession : IDisposable
{
    private HostSession(HostConfiguration configuration, PluginCatalog catalog, ConsoleLogger logger)
    {
        Configuration = configuration;
        Catalog = catalog;
        Logger = logger;
        Composer = new PipelineComposer(catalog, configuration, logger);
    }

    /// <summary>The configuration, or the built-in pipelines alone.</summary>
    public HostConfiguration Configuration { get; private set; }

    /// <summary>The plugins.</summary>
    public PluginCatalog Catalog { get; }

    /// <summary>Opens and makes images.</summary>
    public PipelineComposer Composer { get; }

    /// <summary>Notes and warnings.</summary>
    public ConsoleLogger Logger { get; }

    /// <summary>Reads the configuration, if any, and scans for plugins.</summary>
    /// <param name="pluginDirectories">Of the command line.</param>
    /// <param name="configurationFile">Null for the built-in pipelines alone.</param>
    /// <param name="logger">Notes and warnings.</param>
    /// <param name="isServing">Plugins are loaded from copies, for they may be replaced while the host runs.</param>
    public static HostSession Open(IEnumerable<string> pluginDirectories, string? configurationFile, ConsoleLogger logger, bool isServing = false)
    {
        HostConfiguration configuration = configurationFile is null ? HostConfiguration.BuiltInOnly : ConfigurationReader.Read(configurationFile);
        PluginSearchPath searchPath = PluginSearchPath.Compose(
            pluginDirectories, configuration.PluginDirectories, Environment.GetEnvironmentVariable(PluginSearchPath.EnvironmentVariable));
        return new HostSession(configuration, PluginCatalog.Scan(searchPath, new CatalogOptions { AllowedHashes = configuration.AllowedPlugins, Shadow = isServing ? ShadowFolder.Create() : null }), logger);
    }

    /// <summary>Reads the configuration's pipelines again, for what is opened from now on. Disks and plugin directories stay as they were at the start.</summary>
    /// <exception cref="DiagnosticException">It cannot be read; the one before goes on counting.</exception>
    /// <exception cref="InvalidConfigurationException">It has errors; the one before goes on counting.</exception>
    public void ReloadPipelines()
    {
        if (Configuration.File is not { } file) return;
        HostConfiguration now = ConfigurationReader.Read(file);
        IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(now, Catalog);
        if (problems.Count > 0) throw new InvalidConfigurationException(problems);
        Configuration = now;
        Composer.Use(now);
    }

    /// <summary>Ends the command when the configuration has errors: all of them are reported.</summary>
    /// <exception cref="InvalidConfigurationException">It has.</exception>
    public void RequireValidConfiguration()
    {
        IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(Configuration, Catalog);
        if (problems.Count > 0) throw new InvalidConfigurationException(problems);
    }

    /// <summary>Writes what was found about plugins that this command does not need: an unusable plugin is a warning here.</summary>
    public void ReportPluginFindings()
    {
        foreach (Diagnostic finding in Catalog.Plugins.SelectMany(plugin => plugin.Findings).Distinct())
        {
            Logger.Write(finding.Severity == DiagnosticSeverity.Error ? finding with { Severity = DiagnosticSeverity.Warning } : finding);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Catalog.Dispose();
}
