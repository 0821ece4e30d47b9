using System.Composition;
using Microsoft.Extensions.Logging;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>Counts what reaches the medium beneath: <c>"medium": ["plugin-id-token", "file"]</c>.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("plugin-id-token", Summary = "counts writes and flushes of the medium beneath", Options = typeof(MediumOptions))]
public sealed class CountingMediumFactory : IMediumFactory
{
    /// <inheritdoc/>
    public IStorageMedium Open(MediumRequest request, StrategyContext context) =>
        new CountingMedium(request.OpenInner(), context.Options<MediumOptions>().Report ? counts => Report(context.Logger, request.Location, counts) : null);

    private static void Report(ILogger logger, string location, MediumCounts counts) => logger.LogInformation(
        "{Location}: {Writes} writes of {Bytes} bytes, {Flushes} flushes, {Barriers} barriers", location, counts.Writes, counts.WrittenBytes, counts.Flushes, counts.Barriers);
}
