using System.Composition;

namespace StoragePlugins.Ordered;

/// <summary>
/// No journal: each stage is written home, a barrier stands between stages, a flush at the end. QEMU's way of ordering qcow2 updates.
/// </summary>
[Export(typeof(IMetadataJournal))]
[Strategy("ordered", Summary = "no journal: stages are written home with barriers between them, as QEMU does")]
public sealed class OrderedJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new OrderedSession(home);
}
