namespace StoragePlugins.Analyzers.Tests;

public sealed class PluginDeclarationTests
{
    private const string Usings = "using System.Composition; using StoragePlugins;\n";
    private const string Body = "{ public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException(); }";

    [Fact]
    public Task A_whole_plugin_is_left_alone() => AuthorsProject.ExpectAsync("none", $"""
        {Usings}{AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive)), Strategy("write-through")] public sealed class WriteThrough : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task An_ordinary_assembly_that_uses_the_contracts_is_left_alone() => AuthorsProject.ExpectAsync("none", $"{Usings}public class Unexported : IOrderingPrimitive {Body}");

    [Fact]
    public Task An_export_of_something_else_makes_no_plugin() => AuthorsProject.ExpectAsync("none", $"{Usings}[Export(typeof(IDisposable))] public class Other : IDisposable {{ public void Dispose() {{ }} }}");

    [Fact]
    public Task A_strategy_in_an_assembly_without_the_plugin_attribute_is_told() => AuthorsProject.ExpectAsync("SP9101", $"""
        {Usings}[Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class [|Mine|] : IOrderingPrimitive {Body}
        """);

    [Fact]
    public async Task A_program_that_composes_its_own_strategy_is_left_alone() => Assert.Empty(await AuthorsProject.DiagnoseAsync($$"""
        {{Usings}}[Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class Mine : IOrderingPrimitive {{Body}}
        internal static class Program { private static void Main() { } }
        """, Microsoft.CodeAnalysis.OutputKind.ConsoleApplication));

    [Fact]
    public Task A_plugin_without_a_strategy_is_told() => AuthorsProject.ExpectAsync("SP9102", $"""
        {Usings}[assembly: [|StoragePlugin("Mine")|]]
        public sealed class Forgotten : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("[Strategy(\"mine\")]", "public sealed class", ": IOrderingPrimitive", "")]
    [InlineData("[Strategy(\"mine\"), Export]", "public sealed class", ": IOrderingPrimitive", "")]
    [InlineData("[Strategy(\"mine\"), Export(typeof(IDisposable))]", "public sealed class", ": IOrderingPrimitive, IDisposable", "public void Dispose() { }")]
    [InlineData("[Export(typeof(IOrderingPrimitive))]", "public sealed class", ": IOrderingPrimitive", "")]
    [InlineData("[Export(typeof(IOrderingPrimitive)), Strategy(\"mine\")]", "public sealed class", "", "")]
    [InlineData("[Export(typeof(IOrderingPrimitive)), Strategy(\"mine\")]", "public abstract class", ": IOrderingPrimitive", "")]
    [InlineData("[Export(typeof(IOrderingPrimitive)), Strategy(\"mine\")]", "public sealed class", ": IOrderingPrimitive", "internal Mine() { }")]
    [InlineData("[Export(typeof(IOrderingPrimitive)), Strategy(\"mine\")]", "public sealed class", ": IOrderingPrimitive", "public Mine(int depth = 1) { }")]
    public Task A_strategy_that_the_host_cannot_offer_is_told(string attributes, string kind, string bases, string member) => AuthorsProject.ExpectAsync("SP9103", $"""
        {Usings}{AuthorsProject.PluginMark}
        {attributes} {kind} [|Mine|] {bases} {Body.Replace("{ public", "{ " + member + " public", StringComparison.Ordinal)}
        [Export(typeof(IOrderingPrimitive)), Strategy("whole")] public sealed class Whole : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task A_generic_strategy_is_told() => AuthorsProject.ExpectAsync("SP9103", $$"""
        {{Usings}}{{AuthorsProject.PluginMark}}
        public class Outer<T> { [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class [|Mine|] : IOrderingPrimitive {{Body}} }
        """);

    [Fact]
    public Task What_the_host_can_construct_is_left_alone() => AuthorsProject.ExpectAsync("none", $$"""
        {{Usings}}{{AuthorsProject.PluginMark}}
        [Export(typeof(IOrderingPrimitive)), Strategy("a")] internal sealed class Internal : IOrderingPrimitive {{Body}}
        [Export(typeof(IOrderingPrimitive)), Strategy("b")] public sealed class Derived : Base { [ImportingConstructor] internal Derived() { } }
        public abstract class Base : IOrderingPrimitive {{Body}}
        """);

    [Theory]
    [InlineData("")]
    [InlineData("Mine")]
    [InlineData("1st")]
    [InlineData("-mine")]
    [InlineData("my_ordering")]
    [InlineData("naïve")]
    [InlineData("a23456789012345678901234567890123")]
    public Task An_id_that_the_host_refuses_is_told(string id) => AuthorsProject.ExpectAsync("SP9104", $"""
        {Usings}{AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive)), [|Strategy("{id}")|]] public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("a")]
    [InlineData("o-dsync2")]
    [InlineData("a2345678901234567890123456789012")]
    public Task An_id_that_the_host_accepts_is_left_alone(string id) => AuthorsProject.ExpectAsync("none", $"""
        {Usings}{AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive)), Strategy("{id}")] public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task A_plugin_without_a_name_is_told() => AuthorsProject.ExpectAsync("SP9104", $"""
        {Usings}[assembly: [|StoragePlugin("")|]]
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("v1.2")]
    [InlineData("1.2.x")]
    [InlineData("1..2")]
    [InlineData("1.2.3.4.5")]
    [InlineData("1.2.3-beta..1")]
    [InlineData("1.2.3-")]
    [InlineData("1.2.3 (release)")]
    [InlineData("99999999999999999999")]
    [InlineData("")]
    public Task A_version_that_the_host_cannot_order_is_told(string version) => AuthorsProject.ExpectAsync("SP9104", $"""
        {Usings}[assembly: [|StoragePlugin("Mine")|]]
        [assembly: System.Reflection.AssemblyInformationalVersion("{version}")]
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("1")]
    [InlineData("1.2.3")]
    [InlineData("1.0.0.0")]
    [InlineData("1.2.3-beta.1+5114f85")]
    [InlineData("1.2.3+any.thing-else")]
    public Task A_version_that_the_host_can_order_is_left_alone(string version) => AuthorsProject.ExpectAsync("none", $"""
        {Usings}{AuthorsProject.PluginMark}
        [assembly: System.Reflection.AssemblyInformationalVersion("{version}")]
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class Mine : IOrderingPrimitive {Body}
        """);

    [Theory]
    [InlineData("1.2.3-01.beta-x")]
    [InlineData("1.2.3-0.01a")]
    [InlineData("01.002")]
    [InlineData("2147483647.1")]
    [InlineData("2147483648.1")]
    [InlineData("1.2.3-béta")]
    [InlineData("1.2.3-")]
    [InlineData("-1")]
    [InlineData("+5")]
    [InlineData("1.2.")]
    [InlineData("1.2.3.4.5")]
    public void The_rule_for_versions_is_that_of_the_ranges_in_configurations(string version)
        => Assert.Equal(NuGet.Versioning.NuGetVersion.TryParse(version, out _), PluginVersionText.IsValid(version));

    [Fact]
    public Task Two_classes_with_one_id_of_one_kind_are_told() => AuthorsProject.ExpectAsync("SP9105", $"""
        {Usings}{AuthorsProject.PluginMark}
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class First : IOrderingPrimitive {Body}
        [Export(typeof(IOrderingPrimitive)), [|Strategy("mine")|]] public sealed class Second : IOrderingPrimitive {Body}
        """);

    [Fact]
    public Task One_id_for_two_kinds_is_left_alone() => AuthorsProject.ExpectAsync("none", $$"""
        {{Usings}}{{AuthorsProject.PluginMark}}
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")] public sealed class First : IOrderingPrimitive {{Body}}
        [Export(typeof(IMediumFactory)), Strategy("mine")] public sealed class Second : IMediumFactory
        { public IStorageMedium Open(MediumRequest request, StrategyContext context) => request.OpenInner(); }
        """);
}
