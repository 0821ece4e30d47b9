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
    private readonly Dictionary<(StrategyKind, string), BuiltInStrategy> _builtIn;
    private readonly Dictionary<(StrategyKind, string), Lazy<object>> _builtInObjects;
    private readonly CatalogOptions _options;
    private readonly Lock _refreshing = new();

    // Running disks keep what they use, whatever becomes of it here.
    private readonly HashSet<PluginEntry> _everKnown = [];
    private volatile CatalogView _view;

    private PluginCatalog(PluginSearchPath searchPath, CatalogOptions options)
    {
        SearchPath = searchPath;
        _options = options;
        _builtIn = options.BuiltIn.ToDictionary(strategy => (strategy.Kind, strategy.Id));
        _builtInObjects = options.BuiltIn.ToDictionary(strategy => (strategy.Kind, strategy.Id), strategy => new Lazy<object>(strategy.Create));
        _view = new CatalogView([], options.BuiltIn);
    }

    /// <summary>Where plugins were looked for.</summary>
    public PluginSearchPath SearchPath { get; }

    /// <summary>Every plugin found, in the order of the search path.</summary>
    public IReadOnlyList<PluginEntry> Plugins => _view.Plugins;

    /// <summary>Every strategy that can be asked for, by kind and id.</summary>
    public IEnumerable<StrategyDescriptor> Strategies
        => _view.Strategies.Values.OrderBy(strategy => strategy.Kind).ThenBy(strategy => strategy.Id, StringComparer.Ordinal);

    /// <summary>Scans the search path.</summary>
    /// <param name="searchPath">Where to look.</param>
    /// <param name="options">How; the defaults when not given.</param>
    /// <exception cref="DiagnosticException">A directory of the search path cannot be used.</exception>
    public static PluginCatalog Scan(PluginSearchPath searchPath, CatalogOptions? options = null)
    {
        var catalog = new PluginCatalog(searchPath, options ?? new CatalogOptions());
        _ = catalog.Refresh();
        return catalog;
    }

    /// <summary>A catalog of one plugin, beside the host's own strategies.</summary>
    /// <exception cref="DiagnosticException">The plugin cannot be used; its own diagnostic.</exception>
    public static PluginCatalog Of(PluginProbeResult probe)
    {
        if (probe.Rejection is { } rejection) throw rejection.ToException();
        var catalog = new PluginCatalog(PluginSearchPath.Compose([], [], null), new CatalogOptions());
        catalog.Show([new PluginEntry(probe, new PluginDirectory(Path.GetDirectoryName(probe.Path)!, "the command line", IsOptional: false), isUnloadable: false)]);
        return catalog;
    }

    /// <summary>Looks again. What is as it was keeps its code and its objects; new and changed plugins are added; those that are gone cannot be asked for any more.</summary>
    /// <returns>The plugins that are new, and those that are gone.</returns>
    /// <exception cref="DiagnosticException">A directory of the search path cannot be used; nothing changed.</exception>
    public (IReadOnlyList<PluginEntry> Added, IReadOnlyList<PluginEntry> Removed) Refresh()
    {
        lock (_refreshing)
        {
            IReadOnlyList<PluginEntry> before = _view.Plugins;
            var discovery = new PluginDiscovery(_options.Time);
            var now = new List<PluginEntry>();
            foreach (PluginDirectory directory in SearchPath.Directories)
            {
                foreach (PluginProbeResult found in discovery.Scan(directory))
                {
                    PluginProbeResult probe = _options.Judge(found);
                    now.Add(before.FirstOrDefault(entry => entry.IsSameAs(probe)) ?? new PluginEntry(probe, directory, _options.IsUnloadable, _options.Shadow));
                }
            }

            PluginEntry[] added = [.. now.Except(before)], removed = [.. before.Except(now)];
            if (added.Length + removed.Length > 0 || before.Count == 0) Show(now);
            return (added, removed);
        }
    }

    /// <summary>The strategy of this kind and id.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="id">Its id.</param>
    /// <param name="where">Who asks, for the message: a file and key, or null.</param>
    /// <exception cref="DiagnosticException">
    /// There is none that can be used. When a plugin that claims the id was rejected, its own diagnostic: never a substitute.
    /// </exception>
    public StrategyDescriptor Require(StrategyKind kind, string id, string? where = null)
        => _view.Strategies.TryGetValue((kind, id), out StrategyDescriptor? strategy) ? strategy : throw Explain(kind, id, where).ToException();

    /// <summary>The strategy of this kind and id in the highest version that is meant.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="id">Its id.</param>
    /// <param name="version">Which versions; null for what the plain id means.</param>
    /// <param name="where">Who asks, for the message: a file and key, or null.</param>
    /// <exception cref="DiagnosticException">As above; SP2014: there is no such version.</exception>
    public StrategyDescriptor Require(StrategyKind kind, string id, VersionRequest? version, string? where)
    {
        if (version is null) return Require(kind, id, where);
        StrategyDescriptor[] all = [.. _view.Versions(kind, id)];
        StrategyDescriptor? best = all.Where(strategy => version.Covers(strategy.Plugin!.Manifest!.Version)).MaxBy(strategy => strategy.Plugin!.Manifest!.Version, PluginVersion.Comparer);
        if (best is not null) return best;
        if (all.Length == 0) return Require(kind, id, where);
        throw new DiagnosticException(
            "SP2014", $"no version of {kind.Label()} '{id}' is one of '{version.Text}'", where, found: string.Join(", ", all.Select(strategy => strategy.Source)), fix: "install one, or widen the range");
    }

    /// <summary>The object of a strategy; loads its plugin at the first call.</summary>
    /// <typeparam name="T">One of the four contracts.</typeparam>
    /// <exception cref="DiagnosticException">It cannot be had: see <see cref="Require"/>, or its code fails.</exception>
    public T Get<T>(string id, string? where = null, VersionRequest? version = null) where T : class
    {
        StrategyDescriptor strategy = Require(StrategyKinds.Of(typeof(T)), id, version, where);
        return (T)(strategy.Plugin?.Create(strategy.Kind, id) ?? _builtInObjects[(strategy.Kind, id)].Value);
    }

    /// <summary>A strategy's options class, from its loaded plugin; null without options.</summary>
    public Type? OptionsType(StrategyDescriptor strategy)
        => strategy.Declaration.OptionsType is null ? null
            : strategy.Plugin is { } plugin ? plugin.Load().OptionsType(strategy.Kind, strategy.Id)
            : _builtIn[(strategy.Kind, strategy.Id)].Options;

    /// <summary>Why an id cannot be had.</summary>
    internal Diagnostic Explain(StrategyKind kind, string id, string? where) => _view.Explain(kind, id, where);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PluginEntry plugin in _everKnown) plugin.Dispose();
        _options.Shadow?.Dispose();
    }

    private void Show(IReadOnlyList<PluginEntry> plugins)
    {
        _everKnown.UnionWith(plugins);
        _view = new CatalogView(plugins, _options.BuiltIn);
    }
}
