using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.BarrierOverheadOrdering;

/// <summary>What stands in for a barrier.</summary>
public enum BarrierStandIn
{
    /// <summary><c>fdatasync(2)</c>: what QEMU does.</summary>
    Sync = 0,

    /// <summary><c>sync_file_range(2)</c> that starts writing and does not wait: what <c>fdatabarrier(2)</c> costs its caller, without its order.</summary>
    Dispatch,

    /// <summary>Nothing: no barrier of whatever kind can be cheaper.</summary>
    Nothing,
}

/// <summary>Options of the ordering <c>sync-pattern</c>.</summary>
public sealed class SyncPatternOptions
{
    /// <summary>QEMU 2.1 has two caches to flush before the file itself.</summary>
    private const int MostBefore = 2;

    /// <summary>What a barrier does.</summary>
    [Description("What a barrier does.")]
    public BarrierStandIn Barrier { get; set; }

    /// <summary>Barriers that a flush makes before its own sync, whether or not anything was written between them.</summary>
    [Description("Barriers that a flush makes before its own sync; QEMU 2.1 flushes each of its two metadata caches and then the file.")]
    [Range(0, MostBefore)]
    public int BarriersBeforeFlush { get; set; }
}
