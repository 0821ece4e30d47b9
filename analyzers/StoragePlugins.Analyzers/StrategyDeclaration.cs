using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace StoragePlugins.Analyzers;

/// <summary>A class that carries [Strategy], or [Export] of one of the contracts, or both.</summary>
internal sealed class StrategyDeclaration
{
    private readonly AttributeData? _strategy;
    private readonly AttributeData? _export;

    private StrategyDeclaration(INamedTypeSymbol type, AttributeData? strategy, AttributeData? export, ImmutableArray<INamedTypeSymbol> contracts)
    {
        Class = type;
        _strategy = strategy;
        _export = export;
        Contracts = contracts;
    }

    /// <summary>The class.</summary>
    public INamedTypeSymbol Class { get; }

    /// <summary>The contracts that it is exported as.</summary>
    public ImmutableArray<INamedTypeSymbol> Contracts { get; }

    /// <summary>The id, also a malformed one; null without [Strategy].</summary>
    public string? Id => _strategy is null ? null : ContractTypes.FirstText(_strategy);

    /// <summary>Where the class says its name.</summary>
    public Location Location => Class.Locations[0];

    /// <summary>Where [Strategy] says its id.</summary>
    public Location IdLocation => (_strategy?.ApplicationSyntaxReference?.GetSyntax() as AttributeSyntax)?.GetLocation() ?? Location;

    /// <summary>The declaration that a type makes; null when it makes none.</summary>
    public static StrategyDeclaration? Of(INamedTypeSymbol type, ContractTypes types)
    {
        if (type.TypeKind != TypeKind.Class) return null;
        AttributeData? strategy = null, export = null;
        ImmutableArray<INamedTypeSymbol> contracts = [];
        foreach (AttributeData attribute in type.GetAttributes())
        {
            if (ContractTypes.Same(attribute.AttributeClass, types.Strategy)) strategy = attribute;
            if (types.Export is null || !ContractTypes.Same(attribute.AttributeClass, types.Export)) continue;
            foreach (TypedConstant argument in attribute.ConstructorArguments)
            {
                if (argument.Kind != TypedConstantKind.Type || types.Exportable.FirstOrDefault(each => ContractTypes.Same(each, argument.Value as ISymbol)) is not { } contract)
                    continue;
                export = attribute;
                contracts = contracts.Add(contract);
            }
        }

        return strategy is null && export is null ? null : new StrategyDeclaration(type, strategy, export, contracts);
    }

    /// <summary>Why the host cannot offer it: what is wrong, what follows, the attribute that is missing and what to write into it.</summary>
    public (string What, string Consequence, string? Missing, string? Suggestion)? WhyIncomplete(ContractTypes types)
    {
        if (_export is null)
        {
            INamedTypeSymbol[] implemented = [.. types.Exportable.Where(contract => Implements(contract))];
            return ($"has [Strategy(\"{Id}\")] but no [Export(typeof(…))] of {string.Join(", ", types.Exportable.Select(each => each.Name))}",
                "sphost does not load the plugin (SP1013)", "Export", implemented.Length == 1 ? implemented[0].Name : null);
        }

        if (_strategy is null)
            return ($"is exported as {Contracts[0].Name} but has no [Strategy(\"…\")]", "sphost does not offer it", "Strategy", StrategyId.FromClassName(Class.Name));
        if (Contracts.FirstOrDefault(contract => !Implements(contract)) is { } foreign)
            return ($"is exported as {foreign.Name} and does not implement it", "sphost cannot use it (SP1017)", null, null);
        if (Class.IsAbstract) return ("is exported and is abstract", "sphost cannot use it (SP1020)", null, null);
        for (INamedTypeSymbol? type = Class; type is not null; type = type.ContainingType)
        {
            if (type.IsGenericType) return ("is exported and is generic", "sphost cannot use it (SP1017)", null, null);
        }

        return Class.InstanceConstructors.Any(constructor => IsUsable(constructor, types))
            ? null : ("is exported and has no public constructor without parameters", "sphost cannot construct it", null, null);
    }

    private bool Implements(INamedTypeSymbol contract) => Class.AllInterfaces.Contains(contract, SymbolEqualityComparer.Default);

    private static bool IsUsable(IMethodSymbol constructor, ContractTypes types)
        => (constructor.DeclaredAccessibility == Accessibility.Public && constructor.Parameters.IsEmpty)
            || constructor.GetAttributes().Any(attribute => ContractTypes.Same(attribute.AttributeClass, types.ImportingConstructor));
}
