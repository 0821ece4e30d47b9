using System.Composition;
using StoragePlugins;

namespace Samples.DsyncOrdering;

/// <summary>Every write is durable when it returns (<c>RWF_DSYNC</c>), so a barrier and a flush have nothing left to do.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("dsync", Summary = "every write is synchronous, as with O_DSYNC; barriers and flushes cost nothing")]
public sealed class DsyncOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        // For what no synchronous write can do: a changed length, a hole. And for media without a descriptor.
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>()
            ?? throw new DiagnosticException("DSYNC1001", "the medium cannot be flushed, which lengths and holes need", medium.Name, fix: "use another medium or another ordering");
        SynchronousFile? file = medium.GetCapability<IFileMedium>() is { } open ? new SynchronousFile(open.Handle, medium.Name, context.Meter) : null;
        return new DsyncMedium(medium, flushable, file);
    }
}
