namespace StoragePlugins;

/// <summary>
/// A strategy that provides media: files (built in), memory, a slow device, a recorder. A medium may stand on another one.
/// </summary>
/// <remarks>Export it with <c>[Export(typeof(IMediumFactory))]</c> and <see cref="StrategyAttribute"/>. Stateless and thread-safe.</remarks>
public interface IMediumFactory
{
    /// <summary>Opens or makes the medium.</summary>
    /// <exception cref="DiagnosticException">It cannot be had; the message names it and says why.</exception>
    IStorageMedium Open(MediumRequest request, StrategyContext context);
}

/// <summary>What a medium is to be.</summary>
public sealed class MediumRequest
{
    /// <summary>A path, or whatever the factory understands.</summary>
    public required string Location { get; init; }

    /// <summary>True when nothing will be written.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Make it when it is not there; with <see cref="Truncate"/> also empty it when it is.</summary>
    public bool Create { get; init; }

    /// <summary>Empty it at open.</summary>
    public bool Truncate { get; init; }

    /// <summary>Opens what this medium stands on (the next in the pipeline's <c>medium</c> list, at last the file); the new medium disposes it.</summary>
    public required Func<IStorageMedium> OpenInner { get; init; }
}
