using System.Composition.Hosting;
using System.Reflection;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>A plugin whose code is in the process: its load context and a composition container of its own.</summary>
/// <remarks>One container a plugin: an unresolved type would otherwise take every plugin's exports down with it. Thread-safe.</remarks>
internal sealed class LoadedPlugin : IDisposable
{
    private readonly PluginManifest _manifest;
    private readonly PluginLoader _loader;
    private readonly CompositionHost _container;
    private readonly Dictionary<(StrategyKind, string), Lazy<object, IDictionary<string, object>>> _exports = [];

    private LoadedPlugin(PluginManifest manifest, PluginLoader loader, CompositionHost container)
    {
        _manifest = manifest;
        _loader = loader;
        _container = container;
    }

    /// <summary>The context's name.</summary>
    public string LoadContextName => _loader.LoadContext.Name ?? "";

    /// <summary>The assemblies in the context at present, private ones and the main one.</summary>
    public IReadOnlyList<string> LoadedAssemblies
        => [.. _loader.LoadContext.Assemblies.Select(assembly => assembly.GetName().Name ?? "").Order(StringComparer.Ordinal)];

    /// <summary>Loads the plugin and reads its exports; constructs no strategy.</summary>
    /// <param name="manifest">A manifest that the probe found usable.</param>
    /// <param name="isUnloadable">True to inspect.</param>
    /// <param name="mainAssembly">The copy of its main assembly to load; null for the original.</param>
    /// <exception cref="DiagnosticException">SP1017: a type cannot be loaded. SP1020: an export is not visible.</exception>
    public static LoadedPlugin Load(PluginManifest manifest, bool isUnloadable = false, string? mainAssembly = null)
    {
        PluginLoader loader = PluginLoader.CreateFromAssemblyFile(mainAssembly ?? manifest.MainAssembly, isUnloadable: isUnloadable);
        CompositionHost? container = null;
        try
        {
            using (loader.EnterContextualReflection())
            {
                // Eagerly: what cannot be loaded is said now, with names, and not in the middle of a request.
                Type[] types = loader.LoadDefaultAssembly().GetTypes();
                container = new ContainerConfiguration().WithParts(types.Where(type => type.IsDefined(typeof(StrategyAttribute), false))).CreateContainer();
                var plugin = new LoadedPlugin(manifest, loader, container);
                plugin.ReadExports();
                return plugin;
            }
        }
        catch (Exception exception)
        {
            container?.Dispose();
            loader.Dispose();
            if (exception is DiagnosticException) throw;
            throw CannotLoad(manifest, exception).ToException(exception);
        }
    }

    /// <summary>The strategy's object; constructed at the first call.</summary>
    /// <exception cref="DiagnosticException">SP1019: its constructor failed.</exception>
    public object Create(StrategyKind kind, string id)
    {
        try
        {
            using (_loader.EnterContextualReflection()) return _exports[(kind, id)].Value;
        }
        catch (Exception exception)
        {
            Exception cause = Innermost(exception);
            throw new DiagnosticException(
                "SP1019", $"{kind.Label()} '{id}' of plugin {_manifest.Name} {_manifest.Version} cannot be constructed: {cause.GetType().Name}: {cause.Message.TrimEnd('.')}",
                _manifest.MainAssembly, fix: "other strategies go on; ask the plugin's author", inner: exception);
        }
    }

    /// <summary>The strategy's options class; null without options.</summary>
    public Type? OptionsType(StrategyKind kind, string id)
        => _exports[(kind, id)].Metadata.TryGetValue(nameof(StrategyAttribute.Options), out object? type) ? type as Type : null;

    /// <summary>Ends the container and, where the context is collectible, starts unloading.</summary>
    public void Dispose()
    {
        _exports.Clear();
        _container.Dispose();
        _loader.Dispose();
    }

    private void ReadExports()
    {
        AddExports<IBlockFormat>();
        AddExports<IMetadataJournal>();
        AddExports<IOrderingPrimitive>();
        AddExports<IMediumFactory>();
        foreach (StrategyManifest strategy in _manifest.Strategies)
        {
            if (_exports.ContainsKey((strategy.Kind, strategy.Id))) continue;
            throw new DiagnosticException(
                "SP1020", $"{strategy.Kind.Label()} '{strategy.Id}' of plugin {_manifest.Name} {_manifest.Version} is declared but not exported; the plugin is not used",
                _manifest.MainAssembly, $"class {strategy.ClassName} public, concrete and implementing {strategy.Kind.Contract().Name}", fix: "mend the class");
        }
    }

    private void AddExports<T>() where T : class
    {
        foreach (Lazy<T, IDictionary<string, object>> export in _container.GetExports<Lazy<T, IDictionary<string, object>>>())
        {
            if (export.Metadata.TryGetValue(nameof(StrategyAttribute.Id), out object? id) && id is string text)
                _exports[(StrategyKinds.Of(typeof(T)), text)] = new Lazy<object, IDictionary<string, object>>(() => export.Value, export.Metadata);
        }
    }

    private static Diagnostic CannotLoad(PluginManifest manifest, Exception exception)
    {
        string reason = exception is ReflectionTypeLoadException types
            ? string.Join("; ", types.LoaderExceptions.Where(inner => inner is not null).Select(inner => inner!.Message.TrimEnd('.')).Distinct().Take(3))
            : $"{Innermost(exception).GetType().Name}: {Innermost(exception).Message.TrimEnd('.')}";
        return Diagnostic.Error(
            "SP1017", $"plugin {manifest.Name} {manifest.Version} cannot be loaded: {reason}", manifest.MainAssembly,
            fix: "other plugins go on; copy the plugin's whole publish folder of one build");
    }

    private static Exception Innermost(Exception exception)
    {
        while (exception.InnerException is { } inner && exception is TargetInvocationException or TypeInitializationException or CompositionFailedException)
            exception = exception.InnerException!;
        return exception;
    }
}
