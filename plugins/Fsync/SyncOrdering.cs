using System.Composition;

namespace StoragePlugins.Fsync;

/// <summary>Order and durability by <c>fdatasync(2)</c>: a barrier is a flush. What QEMU does.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("fdatasync", Summary = "order and durability by fdatasync(2); every barrier waits")]
public sealed class FDataSyncOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) =>
        new SyncOrderedMedium(medium, "fdatasync", SyncOrderedMedium.Flushable(medium, "fdatasync").FlushData);
}

/// <summary>Order and durability by <c>fsync(2)</c>: also time stamps and the like are durable.</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("fsync", Summary = "order and durability by fsync(2); every barrier waits")]
public sealed class FSyncOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) =>
        new SyncOrderedMedium(medium, "fsync", SyncOrderedMedium.Flushable(medium, "fsync").FlushAll);
}

/// <summary>No order and no durability: for disks whose loss does not matter (qemu's <c>cache=unsafe</c>).</summary>
[Export(typeof(IOrderingPrimitive))]
[Strategy("none", Summary = "no order and no durability", Unsafe = "flushes do nothing: a power cut or host crash can lose or corrupt the whole disk")]
public sealed class NoOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new SyncOrderedMedium(medium, "none", static () => { });
}
