using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
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
        // With its brackets where it stands alone in them.
        editor.RemoveNode(editor.OriginalRoot.FindNode(diagnostic.Location.SourceSpan), SyntaxRemoveOptions.KeepLeadingTrivia);
        return editor.GetChangedDocument();
    }
}
