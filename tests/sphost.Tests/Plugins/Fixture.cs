using System.Reflection;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Tests.Plugins;

/// <summary>A plugin directory of its own for one test, filled with the built fixtures.</summary>
internal sealed class Fixture : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("sphost-plugins-").FullName;

    /// <summary>The plugin directory.</summary>
    public string Root => _root;

    /// <summary>What the build of this test project wrote into its assembly.</summary>
    public static string Metadata(string key)
        => typeof(Fixture).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(attribute => attribute.Key == key).Value!;

    /// <summary>A built fixture's folder.</summary>
    public static string Built(string name) => Path.Combine(Metadata("FixturesDir"), name);

    /// <summary>Copies fixtures, each into a folder of its name.</summary>
    public static Fixture With(params string[] names)
    {
        var fixture = new Fixture();
        foreach (string name in names) fixture.Add(name);
        return fixture;
    }

    /// <summary>Copies a fixture into a folder.</summary>
    /// <returns>The folder.</returns>
    public string Add(string name, string? folder = null)
    {
        string target = Directory.CreateDirectory(Path.Combine(_root, folder ?? name)).FullName;
        foreach (string file in Directory.EnumerateFiles(Built(name)))
        {
            string copy = Path.Combine(target, Path.GetFileName(file));
            File.Copy(file, copy);
            Age(copy);
        }

        return target;
    }

    /// <summary>Writes a file that lies there for long.</summary>
    public string Write(string relativePath, byte[] content)
    {
        string path = Path.Combine(_root, relativePath);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
        Age(path);
        return path;
    }

    /// <summary>Makes a file old, so that it cannot be a copy under way.</summary>
    public static void Age(string path) => File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddHours(-1));

    /// <summary>Scans this directory alone.</summary>
    public PluginCatalog Scan(
        IReadOnlyList<BuiltInStrategy>? builtIn = null, bool isUnloadable = false, TimeProvider? time = null, ShadowFolder? shadow = null, IReadOnlySet<string>? allowed = null)
    {
        var path = new PluginSearchPath();
        path.Add(_root, "test");
        return PluginCatalog.Scan(path, new CatalogOptions { BuiltIn = builtIn ?? [], IsUnloadable = isUnloadable, Time = time ?? TimeProvider.System, Shadow = shadow, AllowedHashes = allowed });
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);
}
