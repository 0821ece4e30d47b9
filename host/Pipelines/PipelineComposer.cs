using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>
/// Turns pipeline definitions into open images. A pipeline that names a strategy which cannot be used fails with that strategy's own
/// diagnostic; nothing weaker ever takes its place.
/// </summary>
/// <remarks>Thread-safe. One service provider an image: it owns the meter and the contexts, the catalog owns the strategies.</remarks>
internal sealed class PipelineComposer(PluginCatalog catalog, HostConfiguration configuration, ILogger logger)
{
    private volatile HostConfiguration _configuration = configuration;

    /// <summary>Takes pipelines from another reading of the configuration from now on; what is open stays as it is.</summary>
    public void Use(HostConfiguration configuration) => _configuration = configuration;

    /// <summary>Opens an image through a pipeline.</summary>
    /// <param name="pipeline">Which strategies.</param>
    /// <param name="imagePath">The image.</param>
    /// <param name="readOnly">Write nothing, not even by recovery.</param>
    /// <exception cref="DiagnosticException">The one problem that keeps it from opening.</exception>
    /// <exception cref="InvalidConfigurationException">Several problems of the pipeline.</exception>
    public OpenedImage Open(PipelineDefinition pipeline, string imagePath, bool readOnly)
    {
        PreparedPipeline prepared = Prepare(pipeline);
        try
        {
            return prepared.Open(imagePath, readOnly);
        }
        catch
        {
            prepared.Dispose();
            throw;
        }
    }

    /// <summary>Loads and constructs what a pipeline is made of, and binds its options; opens nothing yet.</summary>
    /// <param name="pipeline">Which strategies.</param>
    /// <param name="meter">Goes on counting here; null for a new one.</param>
    /// <exception cref="DiagnosticException">The one problem that keeps it from being used.</exception>
    /// <exception cref="InvalidConfigurationException">Several problems of the pipeline.</exception>
    public PreparedPipeline Prepare(PipelineDefinition pipeline, StorageMeter? meter = null)
    {
        ServiceProvider services = Build(pipeline, [], meter);
        try
        {
            return new PreparedPipeline(services.GetRequiredService<AssembledPipeline>(), pipeline, services.GetRequiredService<StorageMeter>(), PipelineValidator.UnsafeReasons(pipeline, catalog), services);
        }
        catch
        {
            services.Dispose();
            throw;
        }
    }

    /// <summary>Makes a new image; never over an existing file. Durable on return; on failure no file is left.</summary>
    /// <param name="pipeline">Its format and media are used.</param>
    /// <param name="path">Where.</param>
    /// <param name="request">Size and backing file.</param>
    /// <param name="formatOptions">Options of the format beside the pipeline's own, which they replace by name.</param>
    public void Create(PipelineDefinition pipeline, string path, CreateRequest request, IReadOnlyList<OptionSetting>? formatOptions = null)
    {
        using ServiceProvider services = Build(Unmapped(pipeline), formatOptions ?? []);
        services.GetRequiredService<AssembledPipeline>().Create(path, request);
    }

    /// <summary>Opens the medium of an image as the pipeline would, without ordering and format: for checks.</summary>
    public IStorageMedium OpenMedium(PipelineDefinition pipeline, string path, bool readOnly)
    {
        using ServiceProvider services = Build(Unmapped(pipeline), []);
        return services.GetRequiredService<MediumChain>().Open(new MediumRequest
        {
            Location = path,
            ReadOnly = readOnly,
            OpenInner = () => throw new InvalidOperationException("The medium chain gives each layer the next one."),
        });
    }

    // To make or to check an image its bytes are read and written and flushed: nothing is promised of single stores, so that nothing need be mapped.
    private static PipelineDefinition Unmapped(PipelineDefinition pipeline) =>
        pipeline.Media.Count > 1 ? pipeline with { Media = [.. pipeline.Media.Where(use => use.Id != BuiltInStrategies.PmMedium)] } : pipeline;

    /// <summary>A format's object and a context for it, with options of a command line.</summary>
    public (IBlockFormat Format, StrategyContext Context) Format(string id, IReadOnlyList<OptionSetting>? options = null)
    {
        IBlockFormat format = catalog.Get<IBlockFormat>(id);
        object? bound = Bind(new StrategyUse(StrategyKind.Format, id, options ?? [], "format", null));
        return (format, new StrategyContext(bound, new StorageMeter(), logger));
    }

    /// <summary>The format of an existing image, opened as a plain file, and how it stands to journals.</summary>
    /// <exception cref="DiagnosticException">It cannot be read, or its format cannot be told.</exception>
    public (string Format, JournalFacts? Journal) Inspect(string path)
    {
        var file = new StrategyContext(null, new StorageMeter(), logger);
        var chain = new MediumChain([new MediumLayer(BuiltInStrategies.FileMedium, catalog.Get<IMediumFactory>(BuiltInStrategies.FileMedium), file)]);
        using IStorageMedium medium = chain.Open(new MediumRequest
        {
            Location = path,
            ReadOnly = true,
            OpenInner = () => throw new InvalidOperationException("A file stands on nothing."),
        });
        string format = new FormatDetection(catalog, logger).Detect(medium);
        return (format, (catalog.Get<IBlockFormat>(format) as IJournaledFormat)?.InspectJournal(medium));
    }

    /// <summary>The pipeline for an image: the one named, or the default of the image's format (of a new image: the default of all).</summary>
    /// <param name="name">From the command line or configuration; null to choose.</param>
    /// <param name="imagePath">The image; it need not exist.</param>
    public PipelineDefinition Choose(string? name, string imagePath)
    {
        if (name is not null) return _configuration.Pipeline(name);
        if (!File.Exists(imagePath)) return _configuration.Pipeline(BuiltInPipelines.Default);
        (string format, JournalFacts? journal) = Inspect(imagePath);
        if (format == "raw")
        {
            // What a guest writes into its first sector would decide the format the next time.
            logger.LogWarning("SP3810: {Image}: its format was guessed, and anything can be raw; say --pipeline {Pipeline} when it is", imagePath, BuiltInPipelines.Raw);
        }

        // Only its own journal can bring the image into order.
        if (journal?.InUse is { } inUse && _configuration.Pipelines.FirstOrDefault(pipeline => pipeline.Format.Id == format && pipeline.Journal.Id == inUse) is { } own)
            return own;
        PipelineDefinition? standard = BuiltInPipelines.ForFormat(format);
        if (standard is not null && journal?.WhyNone is { } why && BuiltInPipelines.WithoutJournal(format) is { } plain && plain != standard)
        {
            logger.LogInformation("{Image}: {Why}, so pipeline {Pipeline} is used", imagePath, why, plain.Name);
            return plain;
        }

        return standard
            ?? _configuration.Defined.FirstOrDefault(pipeline => pipeline.Format.Id == format)
            ?? throw new DiagnosticException("SP2009", $"there is no pipeline for format '{format}'", imagePath, fix: "define one in a configuration and name it with --pipeline");
    }

    private ServiceProvider Build(PipelineDefinition pipeline, IReadOnlyList<OptionSetting> formatOptions, StorageMeter? meter = null)
    {
        if (formatOptions.Count > 0)
        {
            OptionSetting[] kept = [.. pipeline.Format.Options.Where(own => formatOptions.All(other => other.Name != own.Name))];
            pipeline = pipeline with { Format = pipeline.Format with { Options = [.. kept, .. formatOptions] } };
        }

        IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(pipeline, catalog);
        if (problems.Count == 1) throw problems[0].ToException();
        if (problems.Count > 1) throw new InvalidConfigurationException(problems);

        var services = new ServiceCollection();
        services.AddSingleton(pipeline);
        services.AddSingleton(catalog);
        services.AddSingleton(logger);
        services.AddSingleton(meter ?? new StorageMeter());
        services.AddSingleton(catalog.Get<IBlockFormat>(pipeline.Format.Id, pipeline.Format.Where, pipeline.Format.Version));
        services.AddSingleton(catalog.Get<IMetadataJournal>(pipeline.Journal.Id, pipeline.Journal.Where, pipeline.Journal.Version));
        services.AddSingleton(catalog.Get<IOrderingPrimitive>(pipeline.Ordering.Id, pipeline.Ordering.Where, pipeline.Ordering.Version));
        services.AddSingleton(provider => new MediumChain([.. pipeline.Media.Select(use => new MediumLayer(
            use.Id, catalog.Get<IMediumFactory>(use.Id, use.Where, use.Version), new StrategyContext(Bind(use), provider.GetRequiredService<StorageMeter>(), logger)))]));
        foreach (StrategyUse use in new[] { pipeline.Format, pipeline.Journal, pipeline.Ordering })
        {
            services.AddKeyedSingleton(use.Kind, (provider, _) => new StrategyContext(
                Bind(use), provider.GetRequiredService<StorageMeter>(), logger, provider.GetRequiredService<MediumChain>().Open));
        }

        services.AddSingleton<AssembledPipeline>();
        return services.BuildServiceProvider();
    }

    private object? Bind(StrategyUse use)
    {
        var problems = new List<Diagnostic>();
        object? options = PipelineValidator.BindOptions(use, catalog, problems);
        return problems.Count switch
        {
            0 => options,
            1 => throw problems[0].ToException(),
            _ => throw new InvalidConfigurationException(problems),
        };
    }
}
