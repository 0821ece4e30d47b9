namespace StoragePlugins.Host.Plugins;

/// <summary>The assemblies that come with the .NET runtime, by simple name.</summary>
internal static class RuntimeAssemblies
{
    private static readonly HashSet<string> s_names = new(
        Directory.EnumerateFiles(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "*.dll").Select(path => Path.GetFileNameWithoutExtension(path)),
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether the runtime has it.</summary>
    public static bool Contains(string simpleName) => s_names.Contains(simpleName);
}
