using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace StoragePlugins.Analyzers;

/// <summary>
/// SP9109: a public static field or property of a plugin that can be assigned. One object of a strategy serves all disks of a process and
/// holds no state of any; what is static belongs to all of them at once, and to every thread.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class PublicStaticStateAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.PublicStaticState];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (ContractTypes.Of(start.Compilation)?.PluginAttribute() is null) return;
            start.RegisterSymbolAction(
                symbol =>
                {
                    if (!IsMutable(symbol.Symbol) || !IsVisible(symbol.Symbol)) return;
                    string name = symbol.Symbol.ToDisplayString(SymbolDisplayFormat.CSharpShortErrorMessageFormat);
                    symbol.ReportDiagnostic(Diagnostic.Create(Rules.PublicStaticState, symbol.Symbol.Locations[0], name));
                },
                SymbolKind.Field, SymbolKind.Property);
        });
    }

    private static bool IsMutable(ISymbol symbol) => symbol switch
    {
        IFieldSymbol field => field is { IsStatic: true, IsReadOnly: false, IsConst: false, IsImplicitlyDeclared: false },
        IPropertySymbol property => property is { IsStatic: true, SetMethod: { } setter } && IsVisibleHere(setter),
        _ => false,
    };

    private static bool IsVisible(ISymbol symbol)
    {
        for (ISymbol? each = symbol; each is not null and not INamespaceSymbol; each = each.ContainingSymbol)
        {
            if (each is IFieldSymbol or IPropertySymbol or INamedTypeSymbol && !IsVisibleHere(each)) return false;
        }

        return true;
    }

    private static bool IsVisibleHere(ISymbol symbol)
        => symbol.DeclaredAccessibility is Accessibility.Public or Accessibility.Protected or Accessibility.ProtectedOrInternal;
}
