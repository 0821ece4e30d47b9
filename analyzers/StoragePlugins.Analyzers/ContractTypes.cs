using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers;

/// <summary>The types of StoragePlugins.Contracts as one compilation sees them.</summary>
internal sealed class ContractTypes
{
    /// <summary>The name of [assembly: StoragePlugin].</summary>
    public const string StoragePluginAttribute = "StoragePlugins.StoragePluginAttribute";

    // The contracts that a plugin can export, and what configurations call their kinds.
    private static readonly (string Type, string Label)[] s_kinds =
        [("IBlockFormat", "format"), ("IMetadataJournal", "journal"), ("IOrderingPrimitive", "ordering"), ("IMediumFactory", "medium")];

    private readonly Compilation _compilation;

    private ContractTypes(Compilation compilation, INamedTypeSymbol plugin, INamedTypeSymbol strategy)
    {
        _compilation = compilation;
        Plugin = plugin;
        Strategy = strategy;
        Export = compilation.GetTypeByMetadataName("System.Composition.ExportAttribute");
        ImportingConstructor = compilation.GetTypeByMetadataName("System.Composition.ImportingConstructorAttribute");
        Exportable = [.. s_kinds.Select(kind => Contract(kind.Type)).OfType<INamedTypeSymbol>()];
    }

    /// <summary>StoragePluginAttribute.</summary>
    public INamedTypeSymbol Plugin { get; }

    /// <summary>StrategyAttribute.</summary>
    public INamedTypeSymbol Strategy { get; }

    /// <summary>ExportAttribute of System.Composition; null when it is not referenced.</summary>
    public INamedTypeSymbol? Export { get; }

    /// <summary>ImportingConstructorAttribute of System.Composition; null when it is not referenced.</summary>
    public INamedTypeSymbol? ImportingConstructor { get; }

    /// <summary>IBlockFormat, IMetadataJournal, IOrderingPrimitive, IMediumFactory.</summary>
    public ImmutableArray<INamedTypeSymbol> Exportable { get; }

    /// <summary>The contracts of this compilation; null where they are not referenced, and nothing is to be said.</summary>
    public static ContractTypes? Of(Compilation compilation)
        => compilation.GetTypeByMetadataName(StoragePluginAttribute) is { } plugin
            && compilation.GetTypeByMetadataName("StoragePlugins.StrategyAttribute") is { } strategy
            ? new ContractTypes(compilation, plugin, strategy) : null;

    /// <summary>A type of the contracts by its simple name.</summary>
    public INamedTypeSymbol? Contract(string name) => _compilation.GetTypeByMetadataName("StoragePlugins." + name);

    /// <summary>What configurations call the kind of an exportable contract.</summary>
    public static string Label(INamedTypeSymbol contract) => s_kinds.First(kind => kind.Type == contract.Name).Label;

    /// <summary>The assembly's [assembly: StoragePlugin]; null without.</summary>
    public AttributeData? PluginAttribute() => _compilation.Assembly.GetAttributes().FirstOrDefault(attribute => Same(attribute.AttributeClass, Plugin));

    /// <summary>An attribute's first argument where it is a text; empty otherwise.</summary>
    public static string FirstText(AttributeData attribute)
        => attribute.ConstructorArguments.Length > 0 && attribute.ConstructorArguments[0] is { Kind: TypedConstantKind.Primitive, Value: string text } ? text : "";

    /// <summary>Equality of symbols, without nullability.</summary>
    public static bool Same(ISymbol? left, ISymbol? right) => SymbolEqualityComparer.Default.Equals(left, right);
}
