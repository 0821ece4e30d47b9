using System.Reflection;
using System.Runtime.Loader;

namespace StoragePlugins.Host.Plugins;

/// <summary>
/// Loads a plugin's assemblies into a context of their own. The surface is that of <c>McMaster.NETCore.Plugins.PluginLoader</c>, which
/// could take this class's place.
/// </summary>
/// <remarks>
/// Order of resolution: the shared set from the host and nowhere else; then what the plugin's <c>.deps.json</c> or folder names
/// (satellites and native libraries too); then the runtime. Thread-safe. Not collectible unless asked for: a collectible context has
/// neither tiered compilation nor ready-to-run code, which costs a data path a factor of three.
/// </remarks>
internal sealed class PluginLoader : IDisposable
{
    private readonly PluginLoadContext _context;
    private readonly string _path;

    private PluginLoader(string path, IReadOnlySet<string> shared, bool isUnloadable)
    {
        _path = path;
        _context = new PluginLoadContext(path, shared, isUnloadable);
    }

    /// <summary>The context, named after the main assembly.</summary>
    public AssemblyLoadContext LoadContext => _context;

    /// <summary>Whether <see cref="Dispose"/> unloads.</summary>
    public bool IsUnloadable => _context.IsCollectible;

    /// <summary>Makes a loader; nothing is loaded yet.</summary>
    /// <param name="assemblyFile">Absolute path of the main assembly.</param>
    /// <param name="sharedAssemblies">Simple names that come from the host; <see cref="SharedAssemblies.Names"/> when not given.</param>
    /// <param name="isUnloadable">True to inspect, false to serve.</param>
    public static PluginLoader CreateFromAssemblyFile(string assemblyFile, IReadOnlySet<string>? sharedAssemblies = null, bool isUnloadable = false)
    {
        if (!Path.IsPathFullyQualified(assemblyFile)) throw new ArgumentException("The path of a plugin must be absolute.", nameof(assemblyFile));
        return new PluginLoader(assemblyFile, sharedAssemblies ?? SharedAssemblies.Names, isUnloadable);
    }

    /// <summary>Loads the main assembly.</summary>
    public Assembly LoadDefaultAssembly() => _context.LoadFromAssemblyPath(_path);

    /// <summary>Loads an assembly as the plugin itself would.</summary>
    public Assembly LoadAssembly(AssemblyName name) => _context.LoadFromAssemblyName(name);

    /// <summary>Makes <c>Assembly.Load</c> and <c>Type.GetType</c> of the current flow look into the plugin.</summary>
    public AssemblyLoadContext.ContextualReflectionScope EnterContextualReflection() => _context.EnterContextualReflection();

    /// <summary>Starts unloading when that is possible; done when nothing of the plugin is referenced any more.</summary>
    public void Dispose()
    {
        if (_context.IsCollectible) _context.Unload();
    }

    private sealed class PluginLoadContext(string path, IReadOnlySet<string> shared, bool isCollectible)
        : AssemblyLoadContext($"plugin {Path.GetFileNameWithoutExtension(path)}", isCollectible)
    {
        private static readonly AssemblyLoadContext s_host = GetLoadContext(typeof(PluginLoader).Assembly)!;
        private readonly AssemblyDependencyResolver _resolver = new(path);
        private readonly string _folder = Path.GetDirectoryName(path)!;

        protected override Assembly? Load(AssemblyName assemblyName)
        {
            // By simple name: the probe has compared versions, and a second copy must never come into being.
            if (shared.Contains(assemblyName.Name!)) return s_host.LoadFromAssemblyName(new AssemblyName(assemblyName.Name!));
            return _resolver.ResolveAssemblyToPath(assemblyName) is { } resolved ? LoadFromAssemblyPath(resolved)
                : BesideMain(assemblyName) is { } beside ? LoadFromAssemblyPath(beside)
                : null;
        }

        protected override nint LoadUnmanagedDll(string unmanagedDllName)
            => _resolver.ResolveUnmanagedDllToPath(unmanagedDllName) is { } resolved ? LoadUnmanagedDllFromPath(resolved) : base.LoadUnmanagedDll(unmanagedDllName);

        private string? BesideMain(AssemblyName name)
        {
            string culture = name.CultureName ?? "";
            string candidate = Path.Combine(_folder, culture, name.Name + ".dll");
            return File.Exists(candidate) ? candidate : null;
        }
    }
}
