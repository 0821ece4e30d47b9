using System.Composition;

namespace StoragePlugins.PmJournal;

/// <summary>
/// Byte-granular after-images in persistent memory: "An Efficient Metadata Journaling Scheme for In-memory File Systems", for the metadata and the short
/// synchronous writes of a virtual disk.
/// </summary>
[Export(typeof(IMetadataJournal))]
[Strategy("pm", Summary = "a journal in persistent memory: metadata and short writes are durable without a flush", Options = typeof(PmJournalOptions))]
public sealed class PersistentMemoryJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new Session.PmSession(site, home, context);
}
