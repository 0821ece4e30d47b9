using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace StoragePlugins.Analyzers.Tests;

/// <summary>A third party's project in memory: real compiler, real contracts, all of the analyzers.</summary>
internal static class AuthorsProject
{
    /// <summary>The line that makes an assembly a plugin.</summary>
    public const string PluginMark = "[assembly: StoragePlugin(\"Mine\")]";

    /// <summary>What the SDK's ImplicitUsings writes.</summary>
    public const string GlobalUsings = """
        global using global::System;
        global using global::System.Collections.Generic;
        global using global::System.IO;
        global using global::System.Linq;
        global using global::System.Net.Http;
        global using global::System.Threading;
        global using global::System.Threading.Tasks;
        """;

    /// <summary>The options of a plugin's project.</summary>
    public static CSharpCompilationOptions Options { get; } =
        new(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable);

    /// <summary>The compiler's own newest language.</summary>
    public static CSharpParseOptions Language { get; } = new(LanguageVersion.Preview);

    /// <summary>The runtime's assemblies, the contracts and what plugins reference: everything that this test process stands on.</summary>
    public static ImmutableArray<MetadataReference> References { get; } =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path))];

    /// <summary>Every analyzer of the shipped assembly, found as the compiler finds them.</summary>
    public static ImmutableArray<DiagnosticAnalyzer> Analyzers { get; } =
    [
        .. from type in typeof(PluginDeclarationAnalyzer).Assembly.GetTypes()
           where type.IsDefined(typeof(DiagnosticAnalyzerAttribute), false)
           select (DiagnosticAnalyzer)Activator.CreateInstance(type)!,
    ];

    /// <summary>Compiles a source in which <c>[|</c> and <c>|]</c> mark what is to be reported, and asserts that this rule reports that, and no rule anything else.</summary>
    public static async Task ExpectAsync(string rule, string marked)
    {
        (string source, TextSpan[] expected) = Unmark(marked);
        Diagnostic[] found = [.. await DiagnoseAsync(source)];
        Assert.All(found, diagnostic => Assert.True(diagnostic.Id == rule, diagnostic.ToString()));
        Assert.Equal(
            expected.Select(span => (span.Start, source.Substring(span.Start, span.Length))),
            found.Select(each => each.Location.SourceSpan).Order(Comparer<TextSpan>.Default).Select(span => (span.Start, source.Substring(span.Start, span.Length))));
    }

    /// <summary>The analyzers' findings on one source, which must compile.</summary>
    public static Task<ImmutableArray<Diagnostic>> DiagnoseAsync(string source, OutputKind kind = OutputKind.DynamicallyLinkedLibrary)
        => DiagnoseAsync(Compile("Mine.Plugin", [("Plugin.cs", source)], kind));

    /// <summary>The analyzers' findings on a compilation, which must have no errors but for what source generators would add.</summary>
    public static async Task<ImmutableArray<Diagnostic>> DiagnoseAsync(CSharpCompilation compilation)
    {
        // CS8795: [LibraryImport], [GeneratedRegex] and [LoggerMessage] wait for their generators, which do not run here.
        Assert.DoesNotContain(compilation.GetDiagnostics(), diagnostic => diagnostic.Severity == DiagnosticSeverity.Error && diagnostic.Id != "CS8795");
        ImmutableArray<Diagnostic> found = await compilation.WithAnalyzers(Analyzers).GetAnalyzerDiagnosticsAsync();
        Assert.DoesNotContain(found, diagnostic => diagnostic.Id == "AD0001");
        return found;
    }

    /// <summary>A compilation of these files and of the implicit usings.</summary>
    public static CSharpCompilation Compile(string assembly, IEnumerable<(string Path, string Text)> files, OutputKind kind = OutputKind.DynamicallyLinkedLibrary)
        => CSharpCompilation.Create(
            assembly, files.Append((Path: "GlobalUsings.g.cs", Text: GlobalUsings)).Select(file => CSharpSyntaxTree.ParseText(file.Text, Language, file.Path)), References, Options.WithOutputKind(kind));

    private static (string Source, TextSpan[] Spans) Unmark(string marked)
    {
        var spans = new List<TextSpan>();
        int removed = 0;
        string source = Regex.Replace(marked, @"\[\|(.*?)\|\]", match =>
        {
            spans.Add(new TextSpan(match.Index - removed, match.Groups[1].Length));
            removed += 4;
            return match.Groups[1].Value;
        }, RegexOptions.Singleline);
        return (source, [.. spans]);
    }
}
