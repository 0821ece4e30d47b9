using System.Composition;

namespace StoragePlugins.SimulatedMedia;

/// <summary>Makes any medium cost what a slower device costs: <c>"medium": [{"id": "slow", "flush": "2ms"}, "file"]</c>.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("slow", Summary = "adds the cost of a slower device to any medium", Options = typeof(SlowOptions))]
public sealed class SlowMediumFactory : IMediumFactory
{
    /// <inheritdoc/>
    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        DeviceCosts costs = context.Options<SlowOptions>().Costs();
        return new SlowMedium(request.OpenInner(), costs);
    }
}
