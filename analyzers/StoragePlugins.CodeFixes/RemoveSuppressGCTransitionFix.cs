using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Editing;
using StoragePlugins.Analyzers;

namespace StoragePlugins.CodeFixes;

/// <summary>SP9107: takes [SuppressGCTransition] away. The call costs some ten nanoseconds more and no longer holds up a collection.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp), Shared]
public sealed class RemoveSuppressGCTransitionFix : CodeFixProvider
{
    private const string Title = "Remove [SuppressGCTransition]";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = [Rules.BlockingWithoutTransitionId];

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        foreach (Diagnostic diagnostic in context.Diagnostics)
            context.RegisterCodeFix(CodeAction.Create(Title, token => RemoveAsync(context.Document, diagnostic, token), Title), diagnostic);
        return Task.CompletedTask;
    }

    private static async Task<Document> RemoveAsync(Document document, Diagnostic diagnostic, CancellationToken cancellation)
    {
        DocumentEditor editor = await DocumentEditor.CreateAsync(document, cancellation).ConfigureAwait(false);
        SyntaxNode attribute = editor.OriginalRoot.FindNode(diagnostic.Location.SourceSpan);
        var list = (AttributeListSyntax)attribute.Parent!;
        if (list.Attributes.Count > 1)
            editor.ReplaceNode(list, list.RemoveNode(attribute, SyntaxRemoveOptions.KeepNoTrivia)!);
        else if (list.Parent is MemberDeclarationSyntax member)
            editor.ReplaceNode(member, member.WithAttributeLists(Without(member.AttributeLists, list)).WithLeadingTrivia(member.GetLeadingTrivia()));
        else if (list.Parent is StatementSyntax local)
            editor.ReplaceNode(local, local.WithAttributeLists(Without(local.AttributeLists, list)).WithLeadingTrivia(local.GetLeadingTrivia()));
        return editor.GetChangedDocument();
    }

    // What ended the line of the list now ends that of the list before it.
    private static SyntaxList<AttributeListSyntax> Without(SyntaxList<AttributeListSyntax> lists, AttributeListSyntax list)
    {
        int index = lists.IndexOf(list);
        SyntaxList<AttributeListSyntax> rest = lists.RemoveAt(index);
        return index == 0 ? rest : rest.Replace(rest[index - 1], rest[index - 1].WithTrailingTrivia(list.GetTrailingTrivia()));
    }
}
