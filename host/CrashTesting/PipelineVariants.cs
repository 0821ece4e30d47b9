using System.Reflection;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>
/// A pipeline as the crash kit tests it: its strategies with the options that the configuration gives, and, where that is silent, with several of the
/// values that the strategies name for it (<see cref="CrashTestValuesAttribute"/>).
/// </summary>
internal sealed class PipelineVariants(PluginCatalog catalog)
{
    /// <summary>Enough that each value of each option meets most others.</summary>
    public const int Count = 8;

    /// <summary>The variants; only the first when nothing can be varied.</summary>
    /// <exception cref="InvalidConfigurationException">The pipeline has errors.</exception>
    public IReadOnlyList<TestedPipeline> Of(PipelineDefinition pipeline)
    {
        PipelineDefinition[] distinct = [.. Enumerable.Range(0, Count).Select(number => Vary(pipeline, number)).DistinctBy(TextOf)];
        return [.. distinct.Select(variant => Compose(variant) with { Variant = TextOf(variant) })];
    }

    /// <summary>A variant by the text that <see cref="TestedPipeline.Variant"/> gave: what a replay file holds.</summary>
    public TestedPipeline Of(PipelineDefinition pipeline, string variant) => Of(pipeline).FirstOrDefault(one => one.Variant == variant)
        ?? throw new DiagnosticException("SP6002", "the pipeline has no such variant", pipeline.Name, "one of its variants", $"'{variant}'",
            "use the version and the configuration that the file was written with");

    /// <summary>A strategy's options with the first of the values that it names for tests; null when it has none.</summary>
    public object? FirstOptions(StrategyKind kind, string id) => Bind(Vary(new StrategyUse(kind, id, [], kind.Label(), null), 0));

    private static string TextOf(PipelineDefinition variant) => string.Join(' ', new[] { variant.Format, variant.Journal, variant.Ordering }
        .SelectMany(use => use.Options.Where(option => option.Where == VariedBy).Select(option => $"{use.Id}.{option.Name}={((ConfigScalar)option.Value).Text}")));

    private const string VariedBy = "varied by the crash kit";

    private TestedPipeline Compose(PipelineDefinition pipeline) => new(
        pipeline.Name,
        new Tested<IBlockFormat>(pipeline.Format.Id, catalog.Get<IBlockFormat>(pipeline.Format.Id, pipeline.Format.Where, pipeline.Format.Version), Bind(pipeline.Format)),
        new Tested<IOrderingPrimitive>(pipeline.Ordering.Id, catalog.Get<IOrderingPrimitive>(pipeline.Ordering.Id, pipeline.Ordering.Where, pipeline.Ordering.Version), Bind(pipeline.Ordering)),
        new Tested<IMetadataJournal>(pipeline.Journal.Id, catalog.Get<IMetadataJournal>(pipeline.Journal.Id, pipeline.Journal.Where, pipeline.Journal.Version), Bind(pipeline.Journal)))
    {
        Logger = NullLogger.Instance,
    };

    private object? Bind(StrategyUse use)
    {
        var problems = new List<Diagnostic>();
        object? options = PipelineValidator.BindOptions(use, catalog, problems);
        return problems.Count == 0 ? options : throw new InvalidConfigurationException(problems);
    }

    private PipelineDefinition Vary(PipelineDefinition pipeline, int number) => pipeline with
    {
        Format = Vary(pipeline.Format, number),
        Journal = Vary(pipeline.Journal, number),
        Ordering = Vary(pipeline.Ordering, number),
    };

    // Variant 0 has the first value of every option. The others walk through the values at a pace of each option's own.
    private StrategyUse Vary(StrategyUse use, int number)
    {
        StrategyDescriptor strategy = catalog.Require(use.Kind, use.Id, use.Version, use.Where);
        if (strategy.Declaration.OptionsType is null || catalog.OptionsType(strategy) is not { } type) return use;
        var options = new List<OptionSetting>(use.Options);
        int pace = 1;
        foreach (PropertyInfo property in OptionBinder.OptionProperties(type))
        {
            string name = OptionBinder.OptionName(property);
            if (property.GetCustomAttribute<CrashTestValuesAttribute>() is not { Values: { Count: > 0 } values } || use.Options.Any(option => option.Name == name)) continue;
            options.Add(OptionSetting.FromCommandLine(name, values[number / pace % values.Count]) with { Where = VariedBy });
            if (values.Count > 1) pace = pace == 1 ? 2 : 1;
        }

        return use with { Options = options };
    }
}
