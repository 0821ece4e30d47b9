using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace StoragePlugins.Analyzers;

/// <summary>
/// SP9101–SP9105: what the host asks of a plugin's attributes when it reads them from metadata (PluginProbe) and of its classes when it
/// composes them (LoadedPlugin), said at compile time.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class PluginDeclarationAnalyzer : DiagnosticAnalyzer
{
    /// <summary>Key of a diagnostic's property: the attribute that a half-declared strategy lacks, "Export" or "Strategy".</summary>
    internal const string MissingAttribute = "missing";

    /// <summary>Key of a diagnostic's property: what a fix writes, a contract's name or an id.</summary>
    internal const string Suggestion = "suggestion";

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } =
        [Rules.StrategyOutsidePlugin, Rules.PluginWithoutStrategy, Rules.HalfDeclaredStrategy, Rules.MalformedName, Rules.DuplicateId];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        // Generated code too: MSBuild can write the assembly's attributes, a generator the classes.
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.Analyze | GeneratedCodeAnalysisFlags.ReportDiagnostics);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (ContractTypes.Of(start.Compilation) is not { } types) return;
            AttributeData? plugin = types.PluginAttribute();
            // A program composes what it declares by itself: a host, a test with a toy of its own.
            bool isLoadable = plugin is not null || start.Compilation.Options.OutputKind != OutputKind.DynamicallyLinkedLibrary;
            var strategies = new ConcurrentBag<StrategyDeclaration>();
            start.RegisterSymbolAction(
                symbol =>
                {
                    if (StrategyDeclaration.Of((INamedTypeSymbol)symbol.Symbol, types) is not { } strategy) return;
                    strategies.Add(strategy);
                    Examine(strategy, types, isLoadable, symbol.ReportDiagnostic);
                },
                SymbolKind.NamedType);
            start.RegisterCompilationEndAction(end =>
            {
                if (plugin is not null) ExaminePlugin(plugin, end.Compilation.Assembly, strategies.IsEmpty, end.ReportDiagnostic, end.CancellationToken);
                ReportDuplicates([.. strategies], end.ReportDiagnostic);
            });
        });
    }

    private static void Examine(StrategyDeclaration strategy, ContractTypes types, bool isLoadable, Action<Diagnostic> report)
    {
        if (!isLoadable) report(Diagnostic.Create(Rules.StrategyOutsidePlugin, strategy.Location, strategy.Class.Name));
        if (strategy.WhyIncomplete(types) is var (what, consequence, missing, suggestion))
        {
            ImmutableDictionary<string, string?> properties = ImmutableDictionary<string, string?>.Empty.Add(MissingAttribute, missing).Add(Suggestion, suggestion);
            report(Diagnostic.Create(Rules.HalfDeclaredStrategy, strategy.Location, properties, strategy.Class.Name, what, consequence));
        }

        if (strategy.Id is { } id && !StrategyId.IsValid(id))
        {
            ImmutableDictionary<string, string?> properties = ImmutableDictionary<string, string?>.Empty.Add(Suggestion, StrategyId.FromText(id));
            report(Diagnostic.Create(
                Rules.MalformedName, strategy.IdLocation, properties, "The strategy id", id, StrategyId.Expected, "sphost does not load the plugin (SP1012)"));
        }
    }

    private static void ExaminePlugin(
        AttributeData plugin, IAssemblySymbol assembly, bool isEmpty, Action<Diagnostic> report, CancellationToken cancellation)
    {
        Location location = plugin.ApplicationSyntaxReference?.GetSyntax(cancellation).GetLocation() ?? Location.None;
        string name = ContractTypes.FirstText(plugin);
        if (isEmpty) report(Diagnostic.Create(Rules.PluginWithoutStrategy, location, name));
        if (name.Length == 0)
        {
            report(Diagnostic.Create(
                Rules.MalformedName, location, "The plugin's name", name, "a name for people, normally its folder's", "sphost does not load the plugin (SP1006)"));
        }

        AttributeData? informational = assembly.GetAttributes().FirstOrDefault(attribute => attribute.AttributeClass is
        {
            Name: "AssemblyInformationalVersionAttribute", ContainingNamespace: { Name: "Reflection", ContainingNamespace.Name: "System" }
        });
        if (informational is null) return;
        string version = ContractTypes.FirstText(informational);
        if (!PluginVersionText.IsValid(version))
        {
            report(Diagnostic.Create(
                Rules.MalformedName, location, "The informational version", version, PluginVersionText.Expected,
                "sphost cannot tell whether it is newer than another, and no id@range covers it"));
        }
    }

    private static void ReportDuplicates(StrategyDeclaration[] strategies, Action<Diagnostic> report)
    {
        var claims = from strategy in strategies
                     where strategy.Id is not null
                     from contract in strategy.Contracts
                     orderby strategy.Class.ToDisplayString()
                     group strategy by (contract.Name, strategy.Id) into claim
                     where claim.Skip(1).Any()
                     select claim;
        foreach (var claim in claims)
        {
            StrategyDeclaration first = claim.First();
            foreach (StrategyDeclaration other in claim.Skip(1))
                report(Diagnostic.Create(Rules.DuplicateId, other.IdLocation, first.Class.Name, other.Class.Name, claim.Key.Name, claim.Key.Id));
        }
    }
}
