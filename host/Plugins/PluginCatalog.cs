using System.Globalization;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>A strategy that can be asked for.</summary>
/// <param name="Declaration">What is declared of it.</param>
/// <param name="Plugin">Its plugin; null when it is the host's own.</param>
internal sealed record StrategyDescriptor(StrategyManifest Declaration, PluginEntry? Plugin)
{
    /// <summary>Its kind.</summary>
    public StrategyKind Kind => Declaration.Kind;

    /// <summary>Its id.</summary>
    public string Id => Declaration.Id;

    /// <summary>"Fsync 1.0.0", or "sphost".</summary>
    public string Source => Plugin is { Manifest: { } manifest } ? $"{manifest.Name} {manifest.Version}" : "sphost";
}

/// <summary>
/// The plugins of the search path and the strategies that they offer.
/// </summary>
/// <remarks>
/// <para>Scanning reads metadata only; a plugin's code is loaded when one of its strategies is needed or shown. What is wrong with one
/// plugin is a finding of that plugin, and the others go on.</para>
/// <para>Of several versions of a plugin (same name) the highest usable one counts. An id that two plugins claim belongs to neither:
/// asking for it is SP1014, so that no order of folders decides what a pipeline means. Thread-safe.</para>
/// </remarks>
internal sealed class PluginCatalog : IDisposable
{
    private readonly Dictionary<(StrategyKind, string), StrategyDescriptor> _strategies = [];
    private readonly Dictionary<(StrategyKind, string), Diagnostic> _ambiguous = [];
    private readonly Dictionary<(StrategyKind, string), BuiltInStrategy> _builtIn;
    private readonly Dictionary<(StrategyKind, string), Lazy<object>> _builtInObjects;
    private readonly List<PluginEntry> _plugins = [];

    private PluginCatalog(PluginSearchPath searchPath, IReadOnlyList<BuiltInStrategy> builtIn)
    {
        SearchPath = searchPath;
        _builtIn = builtIn.ToDictionary(strategy => (strategy.Kind, strategy.Id));
        _builtInObjects = builtIn.ToDictionary(strategy => (strategy.Kind, strategy.Id), strategy => new Lazy<object>(strategy.Create));
        foreach (BuiltInStrategy strategy in builtIn)
        {
            _strategies[(strategy.Kind, strategy.Id)] = new StrategyDescriptor(
                new StrategyManifest(strategy.Kind, strategy.Id, "", strategy.Summary, null, strategy.Options?.FullName), null);
        }
    }

    /// <summary>Where plugins were looked for.</summary>
    public PluginSearchPath SearchPath { get; }

    /// <summary>Every plugin found, in the order of the search path.</summary>
    public IReadOnlyList<PluginEntry> Plugins => _plugins;

    /// <summary>Every strategy that can be asked for, by kind and id.</summary>
    public IEnumerable<StrategyDescriptor> Strategies
        => _strategies.Values.OrderBy(strategy => strategy.Kind).ThenBy(strategy => strategy.Id, StringComparer.Ordinal);

    /// <summary>Scans the search path.</summary>
    /// <param name="searchPath">Where to look.</param>
    /// <param name="builtIn">The host's own strategies; <see cref="BuiltInStrategies.All"/> when not given.</param>
    /// <param name="isUnloadable">True to inspect plugins and let go of them.</param>
    /// <param name="time">For the wait while a folder is being copied.</param>
    /// <exception cref="DiagnosticException">A directory of the search path cannot be used.</exception>
    public static PluginCatalog Scan(
        PluginSearchPath searchPath, IReadOnlyList<BuiltInStrategy>? builtIn = null, bool isUnloadable = false, TimeProvider? time = null)
    {
        var catalog = new PluginCatalog(searchPath, builtIn ?? BuiltInStrategies.All);
        var discovery = new PluginDiscovery(time ?? TimeProvider.System);
        foreach (PluginDirectory directory in searchPath.Directories)
        {
            foreach (PluginProbeResult probe in discovery.Scan(directory)) catalog._plugins.Add(new PluginEntry(probe, directory, isUnloadable));
        }

        catalog.ChooseVersions();
        catalog.RegisterStrategies();
        return catalog;
    }

    /// <summary>A catalog of one plugin, beside the host's own strategies.</summary>
    /// <exception cref="DiagnosticException">The plugin cannot be used; its own diagnostic.</exception>
    public static PluginCatalog Of(PluginProbeResult probe)
    {
        if (probe.Rejection is { } rejection) throw rejection.ToException();
        var catalog = new PluginCatalog(PluginSearchPath.Compose([], [], null), BuiltInStrategies.All);
        catalog._plugins.Add(new PluginEntry(probe, new PluginDirectory(Path.GetDirectoryName(probe.Path)!, "the command line", IsOptional: false), isUnloadable: false));
        catalog.RegisterStrategies();
        return catalog;
    }

    /// <summary>The strategy of this kind and id.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="id">Its id.</param>
    /// <param name="where">Who asks, for the message: a file and key, or null.</param>
    /// <exception cref="DiagnosticException">
    /// There is none that can be used. When a plugin that claims the id was rejected, its own diagnostic: never a substitute.
    /// </exception>
    public StrategyDescriptor Require(StrategyKind kind, string id, string? where = null)
        => _strategies.TryGetValue((kind, id), out StrategyDescriptor? strategy) ? strategy : throw Explain(kind, id, where).ToException();

    /// <summary>The object of a strategy; loads its plugin at the first call.</summary>
    /// <typeparam name="T">One of the four contracts.</typeparam>
    /// <exception cref="DiagnosticException">It cannot be had: see <see cref="Require"/>, or its code fails.</exception>
    public T Get<T>(string id, string? where = null) where T : class
    {
        StrategyDescriptor strategy = Require(StrategyKinds.Of(typeof(T)), id, where);
        return (T)(strategy.Plugin?.Create(strategy.Kind, id) ?? _builtInObjects[(strategy.Kind, id)].Value);
    }

    /// <summary>A strategy's options class, from its loaded plugin; null without options.</summary>
    public Type? OptionsType(StrategyDescriptor strategy)
        => strategy.Declaration.OptionsType is null ? null
            : strategy.Plugin is { } plugin ? plugin.Load().OptionsType(strategy.Kind, strategy.Id)
            : _builtIn[(strategy.Kind, strategy.Id)].Options;

    /// <summary>Why an id cannot be had.</summary>
    internal Diagnostic Explain(StrategyKind kind, string id, string? where)
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

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PluginEntry plugin in _plugins) plugin.Dispose();
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
                    fix: "delete the folder that is no longer needed"));
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
            bool isHosts = _builtIn.ContainsKey(claim.Key);
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
