using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Asks every format of the catalog whether a medium is its own.</summary>
internal sealed class FormatDetection(PluginCatalog catalog, ILogger logger)
{
    /// <summary>The id of the format that the medium holds.</summary>
    /// <param name="medium">Opened for reading.</param>
    /// <exception cref="DiagnosticException">
    /// SP3805: none matches. SP3806: two are certain, or nothing is certain while a format plugin is unusable, so that an image of that
    /// format could pass for raw and be overwritten.
    /// </exception>
    public string Detect(IStorageMedium medium)
    {
        var certain = new List<string>();
        var possible = new List<string>();
        var unusable = new List<string>();
        foreach (StrategyDescriptor strategy in catalog.Strategies.Where(strategy => strategy.Kind == StrategyKind.Format))
        {
            try
            {
                IBlockFormat format = catalog.Get<IBlockFormat>(strategy.Id);
                FormatMatch match = StrategyCall.Guard(format.GetType(), $"format '{strategy.Id}'", medium.Name, () => format.Probe(medium));
                if (match == FormatMatch.Certain) certain.Add(strategy.Id);
                if (match == FormatMatch.Possible) possible.Add(strategy.Id);
            }
            catch (DiagnosticException exception)
            {
                unusable.Add(Format(strategy.Id));
                logger.LogWarning("{Code}: {Message}", exception.Code, exception.Message);
            }
        }

        unusable.AddRange(from plugin in catalog.Plugins
                          where plugin.State == PluginState.Rejected
                          from strategy in plugin.Manifest?.Strategies ?? []
                          where strategy.Kind == StrategyKind.Format && !catalog.Strategies.Any(other => other.Kind == StrategyKind.Format && other.Id == strategy.Id)
                          select Format(strategy.Id));
        // A plugin whose metadata cannot be read may be the one that knows this image.
        unusable.AddRange(from plugin in catalog.Plugins
                          where plugin.State == PluginState.Rejected && plugin.Manifest is null
                          select $"a format of plugin '{plugin.Name}'");
        return Decide(medium.Name, certain, possible, unusable);
    }

    private static string Decide(string name, List<string> certain, List<string> possible, List<string> unusable)
    {
        if (certain.Count == 1) return certain[0];
        if (certain.Count > 1)
            throw Uncertain(name, $"the formats {string.Join(" and ", certain)} both claim it");
        if (unusable.Count > 0)
            throw Uncertain(name, $"it may be of {string.Join(" or ", unusable)}, whose plugin cannot be used");
        return possible.Count switch
        {
            1 => possible[0],
            0 => throw new DiagnosticException("SP3805", "no format recognises this image", name, fix: "install the plugin of its format, or name a pipeline with --pipeline"),
            _ => throw Uncertain(name, $"the formats {string.Join(" and ", possible)} are possible"),
        };
    }

    private static string Format(string id) => $"format {id}";

    private static DiagnosticException Uncertain(string name, string why)
        => new("SP3806", $"the image's format cannot be told: {why}", name, fix: "name it with --pipeline or the format option");
}
