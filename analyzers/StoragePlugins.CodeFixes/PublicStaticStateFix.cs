using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Editing;
using Microsoft.CodeAnalysis.FindSymbols;
using StoragePlugins.Analyzers;

namespace StoragePlugins.CodeFixes;

/// <summary>SP9109: makes a static that nobody assigns read-only, and one that only its own class uses private. Offered only where that compiles.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp), Shared]
public sealed class PublicStaticStateFix : CodeFixProvider
{
    private const string ReadOnlyTitle = "Make it read-only";
    private const string PrivateTitle = "Make it private";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = [Rules.PublicStaticStateId];

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        Document document = context.Document;
        SyntaxNode? root = await document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false);
        SemanticModel? model = await document.GetSemanticModelAsync(context.CancellationToken).ConfigureAwait(false);
        foreach (Diagnostic diagnostic in context.Diagnostics)
        {
            SyntaxNode? node = root?.FindNode(diagnostic.Location.SourceSpan);
            if (node is null || model?.GetDeclaredSymbol(node, context.CancellationToken) is not { } symbol) continue;
            StaticUse use = await StaticUse.FindAsync(symbol, document.Project.Solution, context.CancellationToken).ConfigureAwait(false);
            if (!use.IsAssigned && CanBeReadOnly(node) && !IsMutableStruct(symbol))
                Register(context, diagnostic, ReadOnlyTitle, editor => MakeReadOnly(editor, node));
            // A declaration of several fields is split by hand.
            if (!use.IsOutside && node is not VariableDeclaratorSyntax { Parent: VariableDeclarationSyntax { Variables.Count: > 1 } })
                Register(context, diagnostic, PrivateTitle, editor => editor.SetAccessibility(Declaration(node), Accessibility.Private));
        }
    }

    private static void Register(CodeFixContext context, Diagnostic diagnostic, string title, Action<DocumentEditor> edit)
        => context.RegisterCodeFix(
            CodeAction.Create(
                title,
                async cancellation =>
                {
                    DocumentEditor editor = await DocumentEditor.CreateAsync(context.Document, cancellation).ConfigureAwait(false);
                    edit(editor);
                    return editor.GetChangedDocument();
                },
                title),
            diagnostic);

    private static SyntaxNode Declaration(SyntaxNode node) => node is VariableDeclaratorSyntax ? node.Parent!.Parent! : node;

    private static bool CanBeReadOnly(SyntaxNode node) => node switch
    {
        // Nobody makes a value per thread to leave it as it is, and volatile and readonly exclude each other.
        VariableDeclaratorSyntax { Parent: VariableDeclarationSyntax { Variables.Count: 1, Parent: FieldDeclarationSyntax field } }
            => !field.Modifiers.Any(SyntaxKind.VolatileKeyword) && !field.AttributeLists.SelectMany(list => list.Attributes).Any(IsThreadStatic),
        PropertyDeclarationSyntax { AccessorList.Accessors: var accessors }
            => accessors.Any(SyntaxKind.GetAccessorDeclaration) && accessors.Any(SyntaxKind.SetAccessorDeclaration),
        _ => false,
    };

    private static bool IsThreadStatic(AttributeSyntax attribute) => attribute.Name.ToString().Contains("ThreadStatic");

    // A method called on a read-only struct works on a copy: a SpinLock would no longer lock, without a word of the compiler.
    private static bool IsMutableStruct(ISymbol symbol)
        => symbol is IFieldSymbol { Type: { IsValueType: true, IsReadOnly: false, TypeKind: not TypeKind.Enum, SpecialType: SpecialType.None } };

    private static void MakeReadOnly(DocumentEditor editor, SyntaxNode node)
    {
        if (node is PropertyDeclarationSyntax property) editor.RemoveNode(property.AccessorList!.Accessors.First(accessor => accessor.IsKind(SyntaxKind.SetAccessorDeclaration)));
        else editor.SetModifiers(Declaration(node), editor.Generator.GetModifiers(Declaration(node)).WithIsReadOnly(true));
    }

    /// <summary>How the solution uses a static.</summary>
    private readonly struct StaticUse(bool isAssigned, bool isOutside)
    {
        /// <summary>Something but its initializer and the static constructor of its class may assign it.</summary>
        public bool IsAssigned { get; } = isAssigned;

        /// <summary>Something outside its class uses it.</summary>
        public bool IsOutside { get; } = isOutside;

        public static async Task<StaticUse> FindAsync(ISymbol symbol, Solution solution, CancellationToken cancellation)
        {
            bool isAssigned = false, isOutside = false;
            foreach (ReferencedSymbol referenced in await SymbolFinder.FindReferencesAsync(symbol, solution, cancellation).ConfigureAwait(false))
            {
                foreach (ReferenceLocation location in referenced.Locations)
                {
                    SyntaxNode? root = await location.Document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false);
                    SemanticModel? model = await location.Document.GetSemanticModelAsync(cancellation).ConfigureAwait(false);
                    if (root?.FindNode(location.Location.SourceSpan, getInnermostNodeForTie: true) is not { } node || model is null) continue;
                    ISymbol? user = model.GetEnclosingSymbol(node.SpanStart, cancellation);
                    isOutside |= !IsWithin(user, symbol.ContainingType);
                    bool isInitialization = user is IMethodSymbol { MethodKind: MethodKind.StaticConstructor } && ContractTypes.Same(user.ContainingType, symbol.ContainingType);
                    isAssigned |= MayAssign(node) && !isInitialization;
                }
            }

            return new StaticUse(isAssigned, isOutside);
        }

        private static bool IsWithin(ISymbol? user, INamedTypeSymbol type)
        {
            for (ISymbol? each = user; each is not null; each = each.ContainingSymbol)
            {
                if (ContractTypes.Same(each, type)) return true;
            }

            return false;
        }

        // Anything that is not plainly a read: assignment, increment, ref, address, and a member access that could change a struct in place.
        private static bool MayAssign(SyntaxNode name)
        {
            SyntaxNode node = name;
            while (node.Parent is MemberAccessExpressionSyntax or ParenthesizedExpressionSyntax or ElementAccessExpressionSyntax
                or ArgumentSyntax { Parent: TupleExpressionSyntax } or TupleExpressionSyntax)
                node = node.Parent;
            return node.Parent switch
            {
                AssignmentExpressionSyntax assignment => assignment.Left == node,
                PrefixUnaryExpressionSyntax unary => unary.Kind() is SyntaxKind.PreIncrementExpression or SyntaxKind.PreDecrementExpression or SyntaxKind.AddressOfExpression,
                PostfixUnaryExpressionSyntax unary => unary.Kind() is SyntaxKind.PostIncrementExpression or SyntaxKind.PostDecrementExpression,
                ArgumentSyntax argument => !argument.RefKindKeyword.IsKind(SyntaxKind.None),
                RefExpressionSyntax => true,
                _ => false,
            };
        }
    }
}
