using System.Composition;
using StoragePlugins.Journaling;

namespace StoragePlugins.InternalJournal;

/// <summary>
/// A journal inside the image (Chen et al., FAST '16): all metadata of a guest flush is one checksummed record in a region of the image, written with
/// one sequential write and one flush; small synchronous writes ride along where that pays.
/// </summary>
[Export(typeof(IMetadataJournal))]
[Strategy("internal", Summary = "a journal inside the image: one flush for data and all metadata; small writes ride in it where that pays", Options = typeof(InternalJournalOptions))]
public sealed class InternalJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context)
    {
        var options = context.Options<InternalJournalOptions>();
        var settings = new JournalSettings(options.MaxInline, options.Overlay) { DualMode = options.DualMode };
        return new JournalSession(site, home, new RegionSource(site, home, options.RegionSize), settings, context.Logger, context.Meter.Journal);
    }
}
