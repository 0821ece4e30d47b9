using System.Reflection;

namespace StoragePlugins.Authors.Tests;

/// <summary>What this build of the repository left where.</summary>
internal static class Build
{
    /// <summary>The repository.</summary>
    public static string Repository { get; } = Metadata("RepositoryRoot");

    /// <summary>The shippable tree: sphost and its plugins.</summary>
    public static string Dist { get; } = Metadata("DistDir");

    /// <summary>Debug or Release.</summary>
    public static string Configuration { get; } = Metadata("Configuration");

    /// <summary>The one version of the tree.</summary>
    public static string Version { get; } = Metadata("Version");

    /// <summary>The text of a file of the repository.</summary>
    public static string Read(params string[] path) => File.ReadAllText(Path.Combine([Repository, .. path]));

    private static string Metadata(string key) =>
        typeof(Build).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
