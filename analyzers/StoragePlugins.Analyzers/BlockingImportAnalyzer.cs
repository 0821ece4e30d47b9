using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>
/// SP9107: [SuppressGCTransition] on an import that can block. Such a call leaves its thread in cooperative mode, and a garbage collection
/// waits for it: an fsync of a second is a pause of a second for every disk of the process.
/// </summary>
/// <remarks>Of the C library what is not known to return at once is reported; of other libraries only what has a name known to block.</remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class BlockingImportAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.BlockingWithoutTransition];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (ContractTypes.Of(start.Compilation) is null
                || start.Compilation.GetTypeByMetadataName("System.Runtime.InteropServices.SuppressGCTransitionAttribute") is not { } suppress) return;
            start.RegisterSymbolAction(symbol => Examine((IMethodSymbol)symbol.Symbol, suppress, symbol.ReportDiagnostic, symbol.CancellationToken), SymbolKind.Method);
            start.RegisterOperationAction(
                local => Examine(((ILocalFunctionOperation)local.Operation).Symbol, suppress, local.ReportDiagnostic, local.CancellationToken),
                OperationKind.LocalFunction);
        });
    }

    private static void Examine(IMethodSymbol method, INamedTypeSymbol suppress, Action<Diagnostic> report, CancellationToken cancellation)
    {
        if (method.PartialDefinitionPart is not null || NativeImport.Of(method) is not { } import || !import.CanBlock) return;
        AttributeData? attribute = method.GetAttributes().FirstOrDefault(each => ContractTypes.Same(each.AttributeClass, suppress));
        if (attribute?.ApplicationSyntaxReference?.GetSyntax(cancellation) is { } syntax)
            report(Diagnostic.Create(Rules.BlockingWithoutTransition, syntax.GetLocation(), method.Name, import.EntryPoint));
    }
}
