using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>
/// SP9108: a method of the data path that makes a new array in its own body. At a hundred thousand requests a second 64 KiB each are 6 GB/s for
/// the garbage collector, whose pauses all disks of the process share.
/// </summary>
/// <remarks>
/// Libraries only: a double in a test program may allocate. Left alone: what leads to a throw, what is kept in a field (a buffer that grows),
/// constants that the compiler puts into the assembly.
/// </remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class DataPathAllocationAnalyzer : DiagnosticAnalyzer
{
    private static readonly string[] s_dataPath =
    [
        "IVirtualDisk.Read", "IVirtualDisk.Write", "IVirtualDisk.Flush", "INonBlockingDisk.*", "IDiscardDisk.*", "IZeroingDisk.*", "IExtentDisk.*", "IBarrierDisk.*",
        "IStorageMedium.Read", "IStorageMedium.Write", "IOrderedMedium.*", "IFlushableMedium.*", "IBarrierMedium.*", "INonBlockingMedium.*",
        "IDeallocatingMedium.*", "ISparseMedium.*", "IPersistentMemory.*", "IJournalSession.Commit",
    ];

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.DataPathAllocation];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (start.Compilation.Options.OutputKind != OutputKind.DynamicallyLinkedLibrary || ContractTypes.Of(start.Compilation) is not { } types) return;
            var dataPath = new ContractMethods(types, s_dataPath);
            start.RegisterOperationBlockStartAction(block =>
            {
                if (block.OwningSymbol is not IMethodSymbol method || dataPath.Find(method) is not { } contract) return;
                block.RegisterOperationAction(
                    operation => Examine(operation, method, contract),
                    OperationKind.ArrayCreation, OperationKind.CollectionExpression, OperationKind.Invocation);
            });
        });
    }

    private static void Examine(OperationAnalysisContext context, IMethodSymbol method, IMethodSymbol contract)
    {
        IOperation operation = context.Operation;
        if (!Allocates(operation) || IsKept(operation) || IsConstantData(operation) || LeadsToThrow(operation)) return;
        context.ReportDiagnostic(Diagnostic.Create(
            Rules.DataPathAllocation, operation.Syntax.GetLocation(), $"{method.ContainingType.Name}.{contract.Name}", $"{contract.ContainingType.Name}.{contract.Name}"));
    }

    private static bool Allocates(IOperation operation) => operation switch
    {
        // The array of a params call is written by the compiler; without arguments it is a shared one.
        IArrayCreationOperation array => !array.IsImplicit || array.Initializer is { ElementValues.Length: > 0 },
        ICollectionExpressionOperation { Type.TypeKind: TypeKind.Array, Elements.Length: > 0 } => true,
        IInvocationOperation { TargetMethod: { Name: "ToArray", ReturnType.TypeKind: TypeKind.Array } } => true,
        IInvocationOperation { TargetMethod: { Name: "AllocateArray" or "AllocateUninitializedArray", ContainingType.Name: "GC" } } => true,
        IInvocationOperation { TargetMethod: { Name: "CreateInstance", ContainingType.SpecialType: SpecialType.System_Array } } => true,
        _ => false,
    };

    private static bool IsKept(IOperation operation)
    {
        IOperation value = operation;
        while (value.Parent is IConversionOperation) value = value.Parent;
        return value.Parent is IAssignmentOperation assignment && assignment.Value == value
            && assignment.Target is IFieldReferenceOperation or IPropertyReferenceOperation { Property.Parameters.IsEmpty: true };
    }

    private static bool IsConstantData(IOperation operation)
        => operation is IArrayCreationOperation { Initializer: { } initializer, Type: IArrayTypeSymbol { ElementType.SpecialType: not SpecialType.System_String } }
            && operation.Parent is IConversionOperation { Type: { Name: "ReadOnlySpan", ContainingNamespace.Name: "System" } }
            && initializer.ElementValues.All(element => element.ConstantValue.HasValue);

    // In a throw, in a catch, or in a block below the method's own that nothing leaves but its final throw.
    private static bool LeadsToThrow(IOperation operation)
    {
        for (SyntaxNode? node = operation.Syntax; node is not null and not MemberDeclarationSyntax; node = node.Parent)
        {
            if (node is ThrowStatementSyntax or ThrowExpressionSyntax or CatchClauseSyntax) return true;
            if (node is BlockSyntax { Parent: StatementSyntax or ElseClauseSyntax, Statements: var statements } block
                && statements.Count > 0 && statements[statements.Count - 1].IsKind(SyntaxKind.ThrowStatement)
                && operation.SemanticModel?.AnalyzeControlFlow(block) is { Succeeded: true, ExitPoints.IsEmpty: true }) return true;
        }

        return false;
    }
}
