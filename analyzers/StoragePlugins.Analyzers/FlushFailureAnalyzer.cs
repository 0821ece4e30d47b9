using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>
/// SP9106: a flush whose failure does not become final. After a failed fsync Linux marks the pages clean: reads still show what is lost, and the
/// next fsync succeeds ("Can Applications Recover from fsync Failures?", USENIX ATC '20). So a failure is rethrown or poisons the medium.
/// </summary>
/// <remarks>Looks at one function at a time: a catch around a method that flushes is not seen from the flush.</remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class FlushFailureAnalyzer : DiagnosticAnalyzer
{
    private const string Swallowed = "swallowed by the catch around it";
    private const string Retried = "followed by another try in the loop around it";
    private const string Repeated = "left to a resilience pipeline, which may try again";
    private const string Discarded = "discarded with its result";

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.LostFlushFailure];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (ContractTypes.Of(start.Compilation) is not { } types) return;
            var calls = new FlushCalls(start.Compilation, types);
            start.RegisterOperationAction(operation => Examine(operation, calls), OperationKind.Invocation);
        });
    }

    private static void Examine(OperationAnalysisContext context, FlushCalls calls)
    {
        var call = (IInvocationOperation)context.Operation;
        string? fate = calls.Failure(call) is { } failure ? FateOfException(call, failure)
            : FlushCalls.IsNativeSync(call.TargetMethod) ? FateOfResult(call)
            : null;
        if (fate is not null) context.ReportDiagnostic(Diagnostic.Create(Rules.LostFlushFailure, call.Syntax.GetLocation(), call.TargetMethod.Name, fate));
    }

    private static string? FateOfException(IInvocationOperation call, FlushFailure failure)
    {
        for (IOperation inner = call, outer = call.Parent!; outer is not null; inner = outer, outer = outer.Parent!)
        {
            if (outer is IAnonymousFunctionOperation) return IsRunByPolly(outer) ? Repeated : null;
            if (outer is ILocalFunctionOperation) return null;
            if (outer is not ITryOperation attempt || inner != attempt.Body) continue;
            foreach (ICatchClauseOperation clause in attempt.Catches)
            {
                Arrival arrival = ExceptionMatch.Of(clause, failure);
                if (arrival == Arrival.Never) continue;
                var handler = new CatchHandler(clause);
                if (!handler.AlwaysThrows)
                {
                    if (FateIn(handler, attempt, call) is { } fate) return fate;
                    if (arrival == Arrival.Always) return null;
                }
                else if (arrival == Arrival.Always)
                {
                    break;
                }
            }
        }

        return null;
    }

    private static string? FateIn(CatchHandler handler, ITryOperation attempt, IInvocationOperation call)
    {
        ILoopOperation? loop = handler.GoesOn ? LoopOf(attempt) : null;
        bool isSameAgain = loop is not null && !DependsOn(call, loop);
        // Success leaves the loop and failure does not: whatever is remembered, the flush is tried again.
        if (isSameAgain && LeavesLoop(attempt.Body, call)) return Retried;
        if (handler.Remembers) return null;
        if (isSameAgain) return Retried;
        return handler.TellsThoseAfter ? null : Swallowed;
    }

    private static string? FateOfResult(IInvocationOperation call)
    {
        if (call.TargetMethod.ReturnsVoid || call.Parent is IExpressionStatementOperation || call.Parent is IAssignmentOperation { Target: IDiscardOperation })
            return Discarded;
        for (IOperation inner = call, outer = call.Parent!; outer is not null and not IBlockOperation; inner = outer, outer = outer.Parent!)
        {
            if (outer is IWhileLoopOperation loop && inner == loop.Condition && !DependsOn(call, loop)) return Retried;
        }

        return null;
    }

    private static ILoopOperation? LoopOf(IOperation operation)
    {
        IOperation? outer = operation.Parent;
        while (outer is not null and not ILoopOperation and not IAnonymousFunctionOperation and not ILocalFunctionOperation) outer = outer.Parent;
        return outer as ILoopOperation;
    }

    // Each turn of the loop flushes something else.
    private static bool DependsOn(IInvocationOperation call, ILoopOperation loop)
        => call.DescendantsAndSelf().OfType<ILocalReferenceOperation>().Any(
            local => local.Local.Locations.Any(location => loop.Syntax.Span.Contains(location.SourceSpan)));

    private static bool LeavesLoop(IBlockOperation body, IInvocationOperation call)
        => body.Syntax is BlockSyntax block && body.SemanticModel?.AnalyzeControlFlow(block) is { Succeeded: true } flow
            && flow.ExitPoints.Any(exit => exit is BreakStatementSyntax or ReturnStatementSyntax && exit.SpanStart >= call.Syntax.SpanStart);

    private static bool IsRunByPolly(IOperation function)
    {
        IOperation? outer = function.Parent;
        while (outer is IDelegateCreationOperation or IConversionOperation or IArgumentOperation) outer = outer.Parent;
        INamespaceSymbol? space = (outer as IInvocationOperation)?.TargetMethod.ContainingNamespace;
        while (space is { ContainingNamespace.IsGlobalNamespace: false }) space = space.ContainingNamespace;
        return space?.Name == "Polly";
    }
}
