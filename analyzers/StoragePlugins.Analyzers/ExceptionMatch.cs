using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>Whether a failure arrives somewhere.</summary>
internal enum Arrival
{
    /// <summary>Never.</summary>
    Never = 0,

    /// <summary>It depends on what cannot be seen here.</summary>
    Perhaps,

    /// <summary>Always.</summary>
    Always,
}

/// <summary>Says whether a catch clause catches an exception of a type, by its own type and by its filter.</summary>
internal static class ExceptionMatch
{
    /// <summary>For one clause.</summary>
    /// <param name="clause">The clause.</param>
    /// <param name="failure">What is thrown.</param>
    public static Arrival Of(ICatchClauseOperation clause, FlushFailure failure)
    {
        // A bare catch has object for its type.
        Arrival byType = clause.ExceptionType.SpecialType == SpecialType.System_Object ? Arrival.Always : Of(clause.ExceptionType, failure);
        if (clause.Filter is null) return byType;
        ILocalSymbol? caught = (clause.ExceptionDeclarationOrExpression as IVariableDeclaratorOperation)?.Symbol;
        return And(byType, Of(clause.Filter, failure, caught));
    }

    private static Arrival Of(ITypeSymbol type, FlushFailure failure)
        => Derives(failure.Type, type) ? Arrival.Always : failure.MayBeDerived && Derives(type, failure.Type) ? Arrival.Perhaps : Arrival.Never;

    private static bool Derives(ITypeSymbol type, ITypeSymbol from)
    {
        for (ITypeSymbol? each = type; each is not null; each = each.BaseType)
        {
            if (ContractTypes.Same(each, from)) return true;
        }

        return false;
    }

    private static Arrival Of(IOperation filter, FlushFailure failure, ILocalSymbol? caught) => filter switch
    {
        { ConstantValue: { HasValue: true, Value: bool value } } => value ? Arrival.Always : Arrival.Never,
        IIsTypeOperation type when IsCaught(type.ValueOperand, caught) => Of(type.TypeOperand, failure),
        IIsPatternOperation pattern when IsCaught(pattern.Value, caught) => Of(pattern.Pattern, failure),
        IUnaryOperation { OperatorKind: UnaryOperatorKind.Not } not => Not(Of(not.Operand, failure, caught)),
        IBinaryOperation { OperatorKind: BinaryOperatorKind.ConditionalAnd } and => And(Of(and.LeftOperand, failure, caught), Of(and.RightOperand, failure, caught)),
        IBinaryOperation { OperatorKind: BinaryOperatorKind.ConditionalOr } or => Or(Of(or.LeftOperand, failure, caught), Of(or.RightOperand, failure, caught)),
        _ => Arrival.Perhaps,
    };

    private static bool IsCaught(IOperation value, ILocalSymbol? caught) => value is ILocalReferenceOperation local && ContractTypes.Same(local.Local, caught);

    private static Arrival Of(IPatternOperation pattern, FlushFailure failure) => pattern switch
    {
        IDiscardPatternOperation => Arrival.Always,
        ITypePatternOperation type => Of(type.MatchedType, failure),
        IDeclarationPatternOperation { MatchedType: { } type } => Of(type, failure),
        IRecursivePatternOperation recursive => And(Of(recursive.MatchedType, failure), Arrival.Perhaps),
        INegatedPatternOperation negated => Not(Of(negated.Pattern, failure)),
        IBinaryPatternOperation { OperatorKind: BinaryOperatorKind.And } and => And(Of(and.LeftPattern, failure), Of(and.RightPattern, failure)),
        IBinaryPatternOperation { OperatorKind: BinaryOperatorKind.Or } or => Or(Of(or.LeftPattern, failure), Of(or.RightPattern, failure)),
        _ => Arrival.Perhaps,
    };

    private static Arrival Not(Arrival value) => (Arrival)((int)Arrival.Always - (int)value);

    private static Arrival And(Arrival left, Arrival right) => (Arrival)Math.Min((int)left, (int)right);

    private static Arrival Or(Arrival left, Arrival right) => (Arrival)Math.Max((int)left, (int)right);
}
