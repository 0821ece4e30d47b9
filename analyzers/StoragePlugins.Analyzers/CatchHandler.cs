using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>What a catch clause does with a failed flush.</summary>
/// <remarks>Judged in favour of the author: a failure that is handed to anything but a log counts as remembered.</remarks>
internal sealed class CatchHandler
{
    // What poisons need not be given the exception: Fail("fdatasync") says it by its name.
    private static readonly string[] s_poisoning = ["Poison", "Fail", "Fault", "Abort", "Abandon"];

    private static readonly string[] s_logNamespaces = ["Microsoft.Extensions.Logging", "System.Diagnostics", "Serilog", "NLog", "log4net"];

    private readonly ICatchClauseOperation _clause;
    private readonly ControlFlowAnalysis? _flow;

    public CatchHandler(ICatchClauseOperation clause)
    {
        _clause = clause;
        _flow = clause.Syntax is CatchClauseSyntax syntax ? clause.SemanticModel?.AnalyzeControlFlow(syntax.Block) : null;
    }

    /// <summary>Whether every way through it throws.</summary>
    public bool AlwaysThrows => _flow is not { Succeeded: true } flow || (!flow.EndPointIsReachable && flow.ExitPoints.IsEmpty);

    /// <summary>Whether a way through it comes back to the statements after the try, or to the loop around it.</summary>
    public bool GoesOn => _flow is { Succeeded: true } flow && (flow.EndPointIsReachable || flow.ExitPoints.Any(exit => exit is ContinueStatementSyntax or GotoStatementSyntax));

    /// <summary>Whether the failure is kept in a field, returned, or handed to something that is not a log.</summary>
    public bool Remembers => _clause.Handler.Descendants().Any(RemembersFailure);

    /// <summary>Whether the failure is kept in a local variable for the statements after the try.</summary>
    public bool TellsThoseAfter => _clause.Handler.Descendants().Any(
        operation => operation is ISimpleAssignmentOperation { Target: ILocalReferenceOperation target } assignment
            && IsFailure(assignment.Value) && !_clause.Handler.Syntax.Span.Contains(target.Local.Locations[0].SourceSpan));

    private static bool RemembersFailure(IOperation operation) => operation switch
    {
        IArgumentOperation { Parent: IInvocationOperation call } argument => IsException(argument.Value) && !IsLog(call),
        IArgumentOperation { Parent: IObjectCreationOperation creation } argument => IsException(argument.Value) && !IsException(creation),
        IAssignmentOperation { Target: not (ILocalReferenceOperation or IDiscardOperation) } assignment => IsFailure(assignment.Value),
        IReturnOperation { ReturnedValue: { } value } => IsException(value),
        IInvocationOperation call => (s_poisoning.Any(word => call.TargetMethod.Name.StartsWith(word, StringComparison.Ordinal)) && !IsLog(call))
            || call.TargetMethod.GetAttributes().Any(attribute => attribute.AttributeClass?.Name == "DoesNotReturnAttribute"),
        _ => false,
    };

    // An exception, or a flag or a state that says so.
    private static bool IsFailure(IOperation value)
        => IsException(value) || value is { ConstantValue: { HasValue: true, Value: true } }
            || (value is { Type.TypeKind: TypeKind.Enum, ConstantValue: { HasValue: true, Value: not null and not 0 } });

    private static bool IsException(IOperation value)
    {
        while (value is IConversionOperation conversion) value = conversion.Operand;
        for (ITypeSymbol? type = value.Type; type is not null; type = type.BaseType)
        {
            if (type is { Name: "Exception", ContainingNamespace: { Name: "System", ContainingNamespace.IsGlobalNamespace: true } }) return true;
        }

        return false;
    }

    private static bool IsLog(IInvocationOperation call)
    {
        string space = call.TargetMethod.ContainingNamespace.ToDisplayString();
        return call.TargetMethod.Name.StartsWith("Log", StringComparison.Ordinal)
            || s_logNamespaces.Any(each => space == each || space.StartsWith(each + ".", StringComparison.Ordinal))
            || call.TargetMethod.ContainingType is { Name: "Console", ContainingNamespace.Name: "System" }
            || call.TargetMethod.Parameters.Any(parameter => parameter.Type.Name == "ILogger")
            || call.TargetMethod.GetAttributes().Any(attribute => attribute.AttributeClass?.Name == "LoggerMessageAttribute");
    }
}
