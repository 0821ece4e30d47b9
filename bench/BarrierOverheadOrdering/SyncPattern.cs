using System.Composition;

namespace StoragePlugins.BarrierOverheadOrdering;

/// <summary>Syncs and barriers in a pattern that an experiment asks for. For measuring only.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("sync-pattern", Summary = "fdatasync and stand-ins for barriers in the pattern of an experiment", Options = typeof(SyncPatternOptions),
    Unsafe = "its barriers need not order: a power cut can corrupt the whole disk")]
public sealed class SyncPattern : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        var options = context.Options<SyncPatternOptions>();
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>()
            ?? throw new DiagnosticException("SP5010", "the medium cannot be flushed, which the ordering 'sync-pattern' needs", medium.Name, fix: "use another medium");
        IFileMedium? file = medium.GetCapability<IFileMedium>();
        if (options.Barrier == BarrierStandIn.Dispatch && file is null)
            throw new DiagnosticException("SP5010", "sync-pattern can dispatch the writes of a file only", medium.Name, fix: "use barrier: nothing, or the medium 'file'");
        return new SyncPatternMedium(medium, flushable, file, options, context.Meter);
    }
}
