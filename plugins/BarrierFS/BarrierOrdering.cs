using System.Composition;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.BarrierFS.Deferred;
using StoragePlugins.BarrierFS.Kernel;

namespace StoragePlugins.BarrierFS;

/// <summary>Order without waiting for durability. Durability itself is always <c>fdatasync(2)</c>.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("barrierfs", Summary = "barriers that need not wait: fdatabarrier(2), deferred epochs or a write-through device; the last sync stays fdatasync(2)",
    Options = typeof(BarrierOptions))]
public sealed class BarrierOrdering : IOrderingPrimitive, IMachineReport
{
    private readonly IKernel _kernel;

    /// <summary>For the running kernel.</summary>
    public BarrierOrdering()
        : this(new LinuxKernel())
    {
    }

    internal BarrierOrdering(IKernel kernel) => _kernel = kernel;

    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        var options = context.Options<BarrierOptions>();
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>() ?? throw new DiagnosticException(
            "SP5010", "the medium cannot be flushed, which the ordering 'barrierfs' needs", medium.Name, fix: "use another medium or another ordering");
        ModeChoice choice = ModeSelection.Choose(medium, options, _kernel);
        context.Logger.LogInformation("{Medium}: barrierfs orders by mode {Mode}: {Reason}", medium.Name, choice.Label, choice.Reason);
        if (choice.IsDeviceBarrier) return new PassThroughMedium(medium, medium.GetCapability<IBarrierMedium>()!.Barrier, flushable.FlushData);
        if (choice.Call is { } call)
        {
            SafeFileHandle file = medium.GetCapability<IFileMedium>()!.Handle;
            return new KernelBarrierMedium(medium, flushable, call, file, context.Meter);
        }

        // Write-through: fdatasync(2) waits for completion and sends no cache flush to a device without a cache; README, "write-through".
        return choice.Mode == BarrierMode.WriteThrough
            ? new PassThroughMedium(medium, flushable.FlushData, flushable.FlushData)
            : new DeferredMedium(medium, flushable, options.Queue, context.Meter, context.Logger);
    }

    /// <inheritdoc/>
    public IReadOnlyList<MachineFact> DescribeMachine() => MachineDescription.Of(_kernel, MachineDescription.SysBlock);
}
