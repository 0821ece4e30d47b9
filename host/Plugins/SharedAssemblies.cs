namespace StoragePlugins.Host.Plugins;

/// <summary>
/// The assemblies that host and plugins have in common: the contracts and what their signatures mention.
/// </summary>
/// <remarks>
/// Resolved host-first by simple name, never from a plugin's folder and without fallback: a second copy of the contracts would make
/// <c>is IBlockFormat</c> false without an error, and a second copy of the composition attributes would make every export invisible.
/// </remarks>
internal static class SharedAssemblies
{
    /// <summary>The contracts.</summary>
    public const string Contracts = "StoragePlugins.Contracts";

    /// <summary>Simple names.</summary>
    public static IReadOnlySet<string> Names { get; } = new SortedSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        Contracts,
        "Microsoft.Extensions.Configuration.Abstractions",
        "Microsoft.Extensions.DependencyInjection.Abstractions",
        "Microsoft.Extensions.Logging.Abstractions",
        "Microsoft.Extensions.Options",
        "Microsoft.Extensions.Primitives",
        "System.Composition.AttributedModel",
    };

    /// <summary>The version of the contracts that this host has.</summary>
    public static Version HostContractsVersion { get; } = typeof(IBlockFormat).Assembly.GetName().Version!;
}
