using System.Composition;

namespace StoragePlugins.SimulatedMedia;

/// <summary>Images in memory, known by name to the whole process.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("memory", Summary = "an image in memory, for tests and measurements", Options = typeof(MemoryOptions), Unsafe = "an image in memory is gone when the process ends")]
public sealed class MemoryMediumFactory : IMediumFactory
{
    /// <inheritdoc/>
    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        MemoryImage image = MemoryImages.Shared.Open(request.Location, request.Create, request.ReadOnly, context.Options<MemoryOptions>().Limit);
        var medium = new MemoryMedium(image, request.ReadOnly, context.Meter);
        if (request.Truncate && !request.ReadOnly) medium.SetLength(0);
        return medium;
    }
}
