namespace StoragePlugins;

/// <summary>
/// A strategy that makes a set of metadata updates atomic: no journal at all (<c>ordered</c>), a journal inside the image, one in
/// persistent memory. It never knows what an update means.
/// </summary>
/// <remarks>
/// Export it with <c>[Export(typeof(IMetadataJournal))]</c> and <see cref="StrategyAttribute"/>. One object serves all images of a process.
/// </remarks>
public interface IMetadataJournal
{
    /// <summary>Ties the journal to an image that is being opened. Reads only; nothing is written before <see cref="IJournalSession.Recover"/>.</summary>
    /// <param name="site">What the format offers.</param>
    /// <param name="home">Where after-images belong and a region inside the image lives. It stays the format's: never dispose it.</param>
    /// <param name="context">Options, log, meter, and a way to open a medium of the journal's own. A journal that keeps a log shows how full it is with the
    /// meter's <see cref="StorageMeter.Journal"/>, from the session's start to its end.</param>
    /// <exception cref="DiagnosticException">The journal's region is missing, foreign, too small, older than the image, or in use; or the
    /// site lacks what this journal needs.</exception>
    IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context);
}
