using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Checks pipelines against the strategies that there are: ids, kinds, options.</summary>
internal static class PipelineValidator
{
    /// <summary>Everything that is wrong with a configuration: its shape, then each of its own pipelines.</summary>
    public static IReadOnlyList<Diagnostic> Check(HostConfiguration configuration, PluginCatalog catalog)
        => [.. configuration.Problems, .. configuration.Defined.SelectMany(pipeline => Check(pipeline, catalog))];

    /// <summary>Everything that keeps a pipeline from being opened.</summary>
    public static IReadOnlyList<Diagnostic> Check(PipelineDefinition pipeline, PluginCatalog catalog)
    {
        var problems = new List<Diagnostic>();
        foreach (StrategyUse use in pipeline.Uses) BindOptions(use, catalog, problems);
        return problems;
    }

    /// <summary>The options of a use; null when it has none or problems were added.</summary>
    public static object? BindOptions(StrategyUse use, PluginCatalog catalog, List<Diagnostic> problems)
    {
        try
        {
            StrategyDescriptor strategy = catalog.Require(use.Kind, use.Id, use.Version, use.Where is null ? null : $"{use.Where}: {use.KeyPath}");
            if (use.Options.Count == 0 && strategy.Declaration.OptionsType is null) return null;
            return OptionBinder.Bind(catalog.OptionsType(strategy), use.Options, $"{use.Kind.Label()} '{use.Id}'", problems);
        }
        catch (DiagnosticException exception)
        {
            problems.Add(Diagnostic.From(exception));
            return null;
        }
    }

    /// <summary>Why the pipeline can lose acknowledged data, one reason for each such strategy; empty when it cannot, or when that is unknown.</summary>
    public static IReadOnlyList<string> UnsafeReasons(PipelineDefinition pipeline, PluginCatalog catalog)
        => [.. from use in pipeline.Uses
               let reason = catalog.Strategies.FirstOrDefault(strategy => strategy.Kind == use.Kind && strategy.Id == use.Id)?.Declaration.Unsafe
               where reason is not null
               select $"{use.Kind.Label()} '{use.Id}': {reason}"];
}
