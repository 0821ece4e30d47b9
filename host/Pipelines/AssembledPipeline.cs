using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using StoragePlugins.Media;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>The strategies of one pipeline, put together for one image. Built by the container of that image.</summary>
internal sealed class AssembledPipeline(
    PipelineDefinition definition,
    PluginCatalog catalog,
    MediumChain media,
    IOrderingPrimitive ordering,
    IMetadataJournal journal,
    IBlockFormat format,
    [FromKeyedServices(StrategyKind.Ordering)] StrategyContext orderingContext,
    [FromKeyedServices(StrategyKind.Journal)] StrategyContext journalContext,
    [FromKeyedServices(StrategyKind.Format)] StrategyContext formatContext,
    StorageMeter meter,
    ILogger logger)
{
    /// <summary>Opens an image: medium, ordering, format; the format opens the journal.</summary>
    public IDiskImage Open(string path, bool readOnly)
    {
        IStorageMedium medium = media.Open(new MediumRequest { Location = path, ReadOnly = readOnly, OpenInner = NoInner });
        IOrderedMedium? storage = null;
        try
        {
            storage = readOnly ? new ReadOnlyOrdered(medium) : StrategyCall.Guard(
                ordering.GetType(), $"ordering '{definition.Ordering.Id}'", path, () => ordering.Attach(medium, orderingContext));
            var backing = new BackingOpener(catalog, media, new StrategyContext(null, meter, logger, media.Open), definition.Journal.Id, OpenJournal, logger);
            var request = new OpenRequest { Storage = storage, JournalId = definition.Journal.Id, OpenJournal = OpenJournal, OpenBacking = BackingChain.Below(path, backing).Open, ReadOnly = readOnly };
            return StrategyCall.Guard(format.GetType(), $"format '{definition.Format.Id}'", path, () => format.Open(request, formatContext));
        }
        catch
        {
            (storage ?? medium).Dispose();
            throw;
        }
    }

    /// <summary>Writes a new image into an empty place and makes it durable, name included.</summary>
    public void Create(string path, CreateRequest request)
    {
        bool isFile = media.StandsOnFile;
        if (isFile) CreateExclusively(path);
        try
        {
            using IStorageMedium medium = media.Open(new MediumRequest { Location = path, Create = !isFile, Truncate = !isFile, OpenInner = NoInner });
            _ = StrategyCall.Guard(format.GetType(), $"format '{definition.Format.Id}'", path, () =>
            {
                format.Create(medium, request, formatContext);
                return true;
            });
            medium.GetCapability<IFlushableMedium>()?.FlushAll();
            if (isFile) UnixFile.FlushDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch
        {
            if (isFile) File.Delete(path);
            throw;
        }
    }

    private IJournalSession OpenJournal(IJournalSite site, IOrderedMedium home)
        => StrategyCall.Guard(journal.GetType(), $"journal '{definition.Journal.Id}'", site.ImageName, () => journal.Open(site, home, journalContext));

    private static void CreateExclusively(string path)
    {
        try
        {
            new FileStream(path, FileMode.CreateNew, FileAccess.Write).Dispose();
        }
        catch (IOException) when (File.Exists(path))
        {
            throw new DiagnosticException("SP3801", "there is a file of this name already; nothing was changed", path, fix: "choose another name or delete it");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP3809", $"the image cannot be made: {exception.Message.TrimEnd('.')}", path, fix: "check folder and permissions", inner: exception);
        }
    }

    private static IStorageMedium NoInner() => throw new InvalidOperationException("The medium chain gives each layer the next one.");
}
