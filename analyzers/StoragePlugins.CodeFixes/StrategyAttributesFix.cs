using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Editing;
using Microsoft.CodeAnalysis.Simplification;
using StoragePlugins.Analyzers;

namespace StoragePlugins.CodeFixes;

/// <summary>
/// SP9101, SP9103, SP9104: writes the attribute that is missing, or an id that the host accepts. Safe, since nothing can refer to the name of a
/// plugin or strategy that was never loaded.
/// </summary>
[ExportCodeFixProvider(LanguageNames.CSharp), Shared]
public sealed class StrategyAttributesFix : CodeFixProvider
{
    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = [Rules.StrategyOutsidePluginId, Rules.HalfDeclaredStrategyId, Rules.MalformedNameId];

    /// <summary>None: two classes would be given one attribute twice.</summary>
    public override FixAllProvider? GetFixAllProvider() => null;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        if (await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false) is not CompilationUnitSyntax root) return;
        foreach (Diagnostic diagnostic in context.Diagnostics)
        {
            SyntaxNode node = root.FindNode(diagnostic.Location.SourceSpan);
            diagnostic.Properties.TryGetValue(PluginDeclarationAnalyzer.Suggestion, out string? suggestion);
            diagnostic.Properties.TryGetValue(PluginDeclarationAnalyzer.MissingAttribute, out string? missing);
            if (diagnostic.Id == Rules.StrategyOutsidePluginId)
            {
                string assembly = context.Document.Project.AssemblyName;
                string name = assembly.Substring(assembly.LastIndexOf('.') + 1);
                Register(context, diagnostic, $"Add [assembly: StoragePlugin(\"{name}\")]", editor => MarkAssembly(editor, root, name));
            }
            else if (suggestion is not null && missing == "Export" && node is ClassDeclarationSyntax unexported)
            {
                ExpressionSyntax contract = SyntaxFactory.TypeOfExpression(SyntaxFactory.ParseTypeName("StoragePlugins." + suggestion));
                Register(context, diagnostic, $"Add [Export(typeof({suggestion}))]", editor => Mark(editor, unexported, "System.Composition.Export", contract));
            }
            else if (suggestion is not null && missing == "Strategy" && node is ClassDeclarationSyntax unnamed)
            {
                Register(context, diagnostic, $"Add [Strategy(\"{suggestion}\")]", editor => Mark(editor, unnamed, "StoragePlugins.Strategy", Text(suggestion)));
            }
            else if (suggestion is not null && missing is null && node is AttributeSyntax { ArgumentList.Arguments: { Count: > 0 } arguments }
                && arguments[0].Expression is LiteralExpressionSyntax literal)
            {
                Register(context, diagnostic, $"Rename the id to \"{suggestion}\"", editor => editor.ReplaceNode(literal, Text(suggestion).WithTriviaFrom(literal)));
            }
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

    private static void MarkAssembly(DocumentEditor editor, CompilationUnitSyntax root, string name)
    {
        AttributeListSyntax list = SyntaxFactory.AttributeList(SyntaxFactory.SingletonSeparatedList(Attribute("StoragePlugins.StoragePlugin", Text(name))))
            .WithTarget(SyntaxFactory.AttributeTargetSpecifier(SyntaxFactory.Token(SyntaxKind.AssemblyKeyword)));
        // Assembly attributes stand after the usings and before everything else: the first member's comments stay with it.
        SyntaxTrivia newLine = root.DescendantTrivia().FirstOrDefault(trivia => trivia.IsKind(SyntaxKind.EndOfLineTrivia));
        if (newLine == default) newLine = SyntaxFactory.LineFeed;
        list = list.NormalizeWhitespace().WithTrailingTrivia(newLine);
        if (root.AttributeLists.Count == 0 && root.Usings.Count > 0) list = list.WithLeadingTrivia(newLine);
        editor.ReplaceNode(root, (current, _) => ((CompilationUnitSyntax)current).AddAttributeLists(list));
    }

    private static void Mark(DocumentEditor editor, ClassDeclarationSyntax type, string attribute, ExpressionSyntax argument)
        => editor.AddAttribute(type, SyntaxFactory.AttributeList(SyntaxFactory.SingletonSeparatedList(Attribute(attribute, argument))));

    private static AttributeSyntax Attribute(string name, ExpressionSyntax argument)
        => SyntaxFactory.Attribute(
                SyntaxFactory.ParseName(name), SyntaxFactory.AttributeArgumentList(SyntaxFactory.SingletonSeparatedList(SyntaxFactory.AttributeArgument(argument))))
            .WithAdditionalAnnotations(Simplifier.Annotation, Simplifier.AddImportsAnnotation);

    private static LiteralExpressionSyntax Text(string value) => SyntaxFactory.LiteralExpression(SyntaxKind.StringLiteralExpression, SyntaxFactory.Literal(value));
}
