using System.Globalization;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>What a catalog offers at one moment: plugins that were compared with each other, and what each id means. Immutable.</summary>
internal sealed class CatalogView
{
    private readonly Dictionary<(StrategyKind, string), StrategyDescriptor> _strategies = [];
    private readonly Dictionary<(StrategyKind, string), Diagnostic> _ambiguous = [];
    private readonly HashSet<(StrategyKind, string)> _builtIn;
    private readonly IReadOnlyList<PluginEntry> _plugins;

    /// <summary>Compares plugins. What is found about one in comparison with others is noted in it.</summary>
    public CatalogView(IReadOnlyList<PluginEntry> plugins, IReadOnlyList<BuiltInStrategy> builtIn)
    {
        _plugins = plugins;
        _builtIn = [.. builtIn.Select(strategy => (strategy.Kind, strategy.Id))];
        foreach (BuiltInStrategy strategy in builtIn)
        {
            _strategies[(strategy.Kind, strategy.Id)] = new StrategyDescriptor(
                new StrategyManifest(strategy.Kind, strategy.Id, "", strategy.Summary, null, strategy.Options?.FullName), null);
        }

        foreach (PluginEntry plugin in plugins) plugin.Restart();
        ChooseVersions();
        RegisterStrategies();
    }

    /// <summary>Every plugin found, in the order of the search path.</summary>
    public IReadOnlyList<PluginEntry> Plugins => _plugins;

    /// <summary>What each id means.</summary>
    public IReadOnlyDictionary<(StrategyKind Kind, string Id), StrategyDescriptor> Strategies => _strategies;

    /// <summary>A strategy in each version that there is.</summary>
    public IEnumerable<StrategyDescriptor> Versions(StrategyKind kind, string id) =>
        from plugin in _plugins
        where plugin.IsUsableByVersion
        from strategy in plugin.Manifest!.Strategies
        where strategy.Kind == kind && strategy.Id == id
        select new StrategyDescriptor(strategy, plugin);

    /// <summary>Why an id cannot be had.</summary>
    public Diagnostic Explain(StrategyKind kind, string id, string? where)
    {
        if (_ambiguous.TryGetValue((kind, id), out Diagnostic? ambiguous)) return ambiguous;
        PluginEntry? claimant = _plugins.FirstOrDefault(plugin =>
            plugin.State == PluginState.Rejected && plugin.Manifest?.Strategies.Any(strategy => strategy.Kind == kind && strategy.Id == id) == true);
        if (claimant?.Findings.FirstOrDefault(finding => finding.Severity == DiagnosticSeverity.Error) is { } rejection) return rejection;

        string[] otherKinds = [.. _strategies.Keys.Where(key => key.Item2 == id).Select(key => key.Item1.WithArticle())];
        if (otherKinds.Length > 0)
            return Diagnostic.Error("SP2008", $"'{id}' is {string.Join(" and ", otherKinds)}", where, kind.WithArticle(), fix: KnownIds(kind, id));
        int unusable = _plugins.Count(plugin => plugin.State == PluginState.Rejected);
        string rejected = unusable == 0 ? ""
            : string.Create(CultureInfo.InvariantCulture, $" ({unusable} {(unusable == 1 ? "plugin was" : "plugins were")} rejected: see 'sphost plugins list')");
        return Diagnostic.Error("SP2007", $"there is no {kind.Label()} '{id}'{rejected}", where, fix: KnownIds(kind, id));
    }

    private string KnownIds(StrategyKind kind, string id)
        => Spelling.Suggest(id, [.. _strategies.Keys.Where(key => key.Item1 == kind).Select(key => key.Item2)]);

    private void ChooseVersions()
    {
        foreach (IGrouping<string, PluginEntry> name in _plugins.Where(plugin => plugin.IsUsable).GroupBy(plugin => plugin.Name, StringComparer.Ordinal))
        {
            PluginEntry best = name.MaxBy(plugin => plugin.Manifest!.Version, PluginVersion.Comparer)!;
            foreach (PluginEntry other in name.Where(plugin => plugin != best))
            {
                bool isOlder = PluginVersion.Comparer.Compare(other.Manifest!.Version, best.Manifest!.Version) < 0;
                bool isCopy = other.Manifest.Sha256 == best.Manifest.Sha256;
                if (!isOlder && !isCopy) continue; // same version, other content: their ids collide and are reported as such
                other.Supersede(Diagnostic.Note(
                    "SP1016", isOlder
                        ? $"plugin {other.Name} {other.Manifest.Version} gives way to version {best.Manifest.Version} in {best.Path}"
                        : $"plugin {other.Name} {other.Manifest.Version} is the same file as {best.Path}, which is used", other.Path,
                    fix: "delete the folder that is no longer needed; or name the version in a configuration: id@[version]"));
            }
        }
    }

    private void RegisterStrategies()
    {
        var claims = from plugin in _plugins
                     where plugin.IsUsable
                     from strategy in plugin.Manifest!.Strategies
                     group plugin by (strategy.Kind, strategy.Id) into claim
                     select claim;
        foreach (IGrouping<(StrategyKind Kind, string Id), PluginEntry> claim in claims)
        {
            PluginEntry[] claimants = [.. claim];
            bool isHosts = _builtIn.Contains(claim.Key);
            if (claimants.Length == 1 && !isHosts)
            {
                StrategyManifest declaration = claimants[0].Manifest!.Strategies.First(strategy => (strategy.Kind, strategy.Id) == claim.Key);
                _strategies[claim.Key] = new StrategyDescriptor(declaration, claimants[0]);
                continue;
            }

            string owners = string.Join(" and ", claimants.Select(plugin => $"plugin {plugin.Name} {plugin.Manifest!.Version} ({plugin.Manifest.MainAssembly})"));
            Diagnostic collision = isHosts
                ? Diagnostic.Error("SP1014", $"the {claim.Key.Kind.Label()} id '{claim.Key.Id}' is sphost's own; that of {owners} is not used", fix: "rename it")
                : Diagnostic.Error("SP1014", $"the {claim.Key.Kind.Label()} id '{claim.Key.Id}' is claimed by {owners}; neither is used under it", fix: "remove one of them");
            if (!isHosts) _ambiguous[claim.Key] = collision;
            foreach (PluginEntry claimant in claimants) claimant.Add(collision);
        }
    }
}
