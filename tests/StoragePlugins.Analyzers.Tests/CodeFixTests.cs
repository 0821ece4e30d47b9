using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Simplification;
using StoragePlugins.CodeFixes;

namespace StoragePlugins.Analyzers.Tests;

public sealed class CodeFixTests
{
    private const string Body = "{ public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException(); }";

    [Fact]
    public Task A_plugin_is_marked_with_the_assembly_attribute() => ExpectAsync("Add [assembly: StoragePlugin(\"Plugin\")]", $"""
        using System.Composition;
        using StoragePlugins;

        /// <summary>Mine.</summary>
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")]
        public sealed class Mine : IOrderingPrimitive {Body}
        """, $"""
        using System.Composition;
        using StoragePlugins;

        [assembly: StoragePlugin("Plugin")]

        /// <summary>Mine.</summary>
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")]
        public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task A_strategy_is_exported_as_the_contract_that_it_implements() => ExpectAsync("Add [Export(typeof(IOrderingPrimitive))]", $"""
        using StoragePlugins;
        {AuthorsProject.PluginMark}
        [Strategy("mine")]
        public sealed class Mine : IOrderingPrimitive {Body}
        """, $"""
        using System.Composition;
        using StoragePlugins;
        {AuthorsProject.PluginMark}
        [Strategy("mine")]
        [Export(typeof(IOrderingPrimitive))]
        public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task An_export_is_given_an_id_after_its_class() => ExpectAsync("Add [Strategy(\"write-through\")]", $"""
        using System.Composition;
        using StoragePlugins;
        {AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive))]
        public sealed class WriteThroughOrdering : IOrderingPrimitive {Body}
        """, $"""
        using System.Composition;
        using StoragePlugins;
        {AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive))]
        [Strategy("write-through")]
        public sealed class WriteThroughOrdering : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("My_Ordering", "my-ordering")]
    [InlineData("ODsync 2", "o-dsync-2")]
    [InlineData("1stTry", "st-try")]
    [InlineData("a234567890123456789012345678901-3", "a234567890123456789012345678901")]
    public Task An_id_becomes_one_that_the_host_accepts(string id, string valid) => ExpectAsync($"Rename the id to \"{valid}\"", Named(id), Named(valid));

    [Fact]
    public async Task An_id_of_which_nothing_can_be_kept_has_no_fix() => Assert.Empty(await OffersAsync(Named("---")));

    [Fact]
    public async Task A_class_that_implements_two_contracts_is_not_guessed_at() => Assert.Empty(await OffersAsync($$"""
        using StoragePlugins;
        {{AuthorsProject.PluginMark}}
        [Strategy("mine")]
        public sealed class Mine : IOrderingPrimitive, IMediumFactory
        {
            public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException();
            public IStorageMedium Open(MediumRequest request, StrategyContext context) => request.OpenInner();
        }
        """));

    [Theory]
    [InlineData("[LibraryImport(\"libc\"), SuppressGCTransition]", "[LibraryImport(\"libc\")]")]
    [InlineData("[LibraryImport(\"libc\")] [SuppressGCTransition]", "[LibraryImport(\"libc\")]")]
    [InlineData("[SuppressGCTransition]\n    [LibraryImport(\"libc\")]", "[LibraryImport(\"libc\")]")]
    public Task The_transition_is_no_longer_suppressed(string before, string after) => ExpectAsync(
        "Remove [SuppressGCTransition]", Import(before), Import(after));

    [Theory]
    [InlineData("public static int Depth = 3;", "public static readonly int Depth = 3;")]
    [InlineData("public static int Depth;\n    static Mine() => Depth = 3;", "public static readonly int Depth;\n    static Mine() => Depth = 3;")]
    [InlineData("public static int Depth { get; set; } = 3;", "public static int Depth { get; } = 3;")]
    public Task A_static_that_nobody_assigns_becomes_read_only(string before, string after) => ExpectAsync("Make it read-only", Static(before), Static(after));

    [Theory]
    [InlineData("public static int Depth = 3;", "private static int Depth = 3;")]
    [InlineData("public static int Depth { get; set; }", "private static int Depth { get; set; }")]
    [InlineData("public static volatile bool IsLost;\n    public void Lose() => IsLost = true;", "private static volatile bool IsLost;\n    public void Lose() => IsLost = true;")]
    public Task A_static_that_only_its_class_uses_becomes_private(string before, string after) => ExpectAsync("Make it private", Static(before), Static(after));

    [Theory]
    [InlineData("public static int Depth; public void Grow() => Depth++;", "Make it private")]
    [InlineData("public static int Depth; public void Grow() => Interlocked.Increment(ref Depth);", "Make it private")]
    [InlineData("public static (int, int) Pair; public void Set() => Pair.Item1 = 3;", "Make it private")]
    [InlineData("public static SpinLock Gate; public void Enter() { bool taken = false; Gate.Enter(ref taken); }", "Make it private")]
    [InlineData("[ThreadStatic] public static byte[]? Scratch;", "Make it private")]
    [InlineData("public static int Depth; } public class Other { public int Twice => 2 * Mine.Depth;", "Make it read-only")]
    [InlineData("public static int Depth; } public class Other { public void Grow() => Mine.Depth++;", null)]
    [InlineData("public static int Depth, Width;", null, null)]
    public async Task A_fix_that_would_not_compile_or_change_what_it_does_is_not_offered(string member, params string?[]? offers)
        => Assert.Equal((offers ?? []).OfType<string>(), (await OffersAsync(Static(member))).Select(action => action.Title));

    [Fact]
    public void Every_fix_is_for_a_rule_that_is_reported()
    {
        string[] reported = [.. AuthorsProject.Analyzers.SelectMany(analyzer => analyzer.SupportedDiagnostics).Select(rule => rule.Id)];
        Assert.All(Fixes(), fix => Assert.Empty(fix.FixableDiagnosticIds.Except(reported)));
        Assert.Equal(3, Fixes().Count());
    }

    private static string Named(string id) => $"""
        using System.Composition;
        using StoragePlugins;
        {AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive)), Strategy("{id}", Summary = "mine")]
        public sealed class Mine : IOrderingPrimitive {Body}
        """;

    private static string Import(string attributes) => $$"""
        using System.Runtime.InteropServices;

        internal static partial class Native
        {
            // Durable when it returns 0.
            {{attributes}}
            private static partial int fdatasync(int descriptor);
        }
        """;

    private static string Static(string member) => $$"""
        using System.Composition;
        using StoragePlugins;
        {{AuthorsProject.PluginMark}}
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")]
        public sealed class Strategy : IOrderingPrimitive {{Body}}
        public class Mine
        {
            {{member}}
        }
        """;

    private static IEnumerable<CodeFixProvider> Fixes()
        => from type in typeof(PublicStaticStateFix).Assembly.GetTypes()
           where type.IsDefined(typeof(ExportCodeFixProviderAttribute), false)
           select (CodeFixProvider)Activator.CreateInstance(type)!;

    private static async Task ExpectAsync(string title, string before, string after)
    {
        using var workspace = new AdhocWorkspace();
        Document document = Open(workspace, before);
        CodeAction action = Assert.Single(await OffersAsync(document), each => each.Title == title);
        ApplyChangesOperation change = Assert.Single((await action.GetOperationsAsync(CancellationToken.None)).OfType<ApplyChangesOperation>());
        Document changed = change.ChangedSolution.GetDocument(document.Id)!;
        // What an editor does after a fix.
        changed = await Microsoft.CodeAnalysis.Editing.ImportAdder.AddImportsAsync(changed, Simplifier.AddImportsAnnotation);
        changed = await Simplifier.ReduceAsync(changed, Simplifier.Annotation);
        changed = await Microsoft.CodeAnalysis.Formatting.Formatter.FormatAsync(changed, Microsoft.CodeAnalysis.Formatting.Formatter.Annotation);
        string text = (await changed.GetTextAsync()).ToString();
        Assert.Equal(after, text);
        Assert.Empty(await AuthorsProject.DiagnoseAsync(text));
    }

    private static async Task<IReadOnlyList<CodeAction>> OffersAsync(string source)
    {
        using var workspace = new AdhocWorkspace();
        return await OffersAsync(Open(workspace, source));
    }

    private static Document Open(AdhocWorkspace workspace, string source)
    {
        ProjectInfo project = ProjectInfo.Create(
            ProjectId.CreateNewId(), VersionStamp.Default, "Plugin", "Mine.Plugin", LanguageNames.CSharp,
            compilationOptions: AuthorsProject.Options, parseOptions: AuthorsProject.Language, metadataReferences: AuthorsProject.References);
        ProjectId id = workspace.AddProject(project).Id;
        workspace.AddDocument(id, "GlobalUsings.g.cs", Microsoft.CodeAnalysis.Text.SourceText.From(AuthorsProject.GlobalUsings));
        return workspace.AddDocument(id, "Plugin.cs", Microsoft.CodeAnalysis.Text.SourceText.From(source));
    }

    private static async Task<IReadOnlyList<CodeAction>> OffersAsync(Document document)
    {
        Compilation compilation = (await document.Project.GetCompilationAsync())!;
        ImmutableArray<Diagnostic> found = await AuthorsProject.DiagnoseAsync((CSharpCompilation)compilation);
        Assert.NotEmpty(found);
        var offers = new List<CodeAction>();
        foreach (Diagnostic diagnostic in found)
        {
            foreach (CodeFixProvider fix in Fixes().Where(each => each.FixableDiagnosticIds.Contains(diagnostic.Id)))
                await fix.RegisterCodeFixesAsync(new CodeFixContext(document, diagnostic, (action, _) => offers.Add(action), CancellationToken.None));
        }

        return offers;
    }
}
