using System.Composition;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>Order and durability by flushing the medium: a barrier waits as long as a flush does.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("plugin-id-token", Summary = "a barrier is a flush of the medium", Options = typeof(OrderingOptions))]
public sealed class FlushOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        // Refused, not replaced by something weaker: a disk whose flushes do nothing looks well until the power fails.
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>()
            ?? throw new DiagnosticException("PLUGIN1001", "the medium cannot be flushed", medium.Name, fix: "use another medium or another ordering");
        return new FlushedMedium(medium, context.Options<OrderingOptions>().AllMetadata ? flushable.FlushAll : flushable.FlushData);
    }
}
