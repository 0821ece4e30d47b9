using System.Composition;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>No log: the stages of a transaction go home one after the other. A crash leaves a prefix of them.</summary>
[Export(typeof(IMetadataJournal))]
[Strategy("plugin-id-token", Summary = "no log: stages are written home in order", Options = typeof(JournalOptions))]
public sealed class WriteThroughJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) =>
        new WriteThroughSession(home, context.Options<JournalOptions>().DurableStages);
}
