using System.Composition;
using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>A redo log in a file beside the image: a transaction is one record, durable before any of it goes home.</summary>
[Export(typeof(IMetadataJournal))]
[Strategy("sidecar", Summary = "a redo log in a file beside the image", Options = typeof(SidecarOptions))]
public sealed class SidecarJournal : IMetadataJournal
{
    /// <inheritdoc/>
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context)
    {
        // Without it nothing would keep others from an image whose latest state lies elsewhere.
        IInUseMark mark = site.GetCapability<IInUseMark>() ?? throw new DiagnosticException(
            "SIDECAR1001", "the image cannot be marked as in use, which a journal beside it needs", site.ImageName, fix: "use a pipeline without a journal");
        return new SidecarSession(site, mark, home, context);
    }
}
