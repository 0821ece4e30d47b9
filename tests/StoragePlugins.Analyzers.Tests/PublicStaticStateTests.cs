namespace StoragePlugins.Analyzers.Tests;

public sealed class PublicStaticStateTests
{
    [Theory]
    [InlineData("public static int [|Depth|];")]
    [InlineData("public static volatile bool [|IsLost|];")]
    [InlineData("[ThreadStatic] public static byte[]? [|Scratch|];")]
    [InlineData("protected static int [|Depth|] = 3;")]
    [InlineData("public static int [|Depth|] { get; set; }")]
    [InlineData("private static int s_depth; public static int [|Depth|] { get => s_depth; set => s_depth = value; }")]
    [InlineData("public class Inner { public static int [|Depth|]; }")]
    public Task What_anyone_can_assign_for_all_disks_is_told(string member) => AuthorsProject.ExpectAsync("SP9109", Plugin("public", member));

    [Theory]
    [InlineData("public const int Depth = 3;")]
    [InlineData("public static readonly int Depth = 3;")]
    [InlineData("public static int Depth { get; } = 3;")]
    [InlineData("public static int Depth { get; private set; }")]
    [InlineData("private static int s_depth; public int Depth => s_depth++;")]
    [InlineData("internal static int Depth;")]
    [InlineData("public int Depth;")]
    [InlineData("internal class Inner { public static int Depth; }")]
    public Task What_cannot_be_assigned_from_outside_is_left_alone(string member) => AuthorsProject.ExpectAsync("none", Plugin("public", member));

    [Fact]
    public Task An_internal_class_keeps_its_statics() => AuthorsProject.ExpectAsync("none", Plugin("internal", "public static int Depth;"));

    [Fact]
    public Task An_assembly_that_is_no_plugin_keeps_its_statics()
        => AuthorsProject.ExpectAsync("none", "public class Settings { public static int Depth; }");

    private static string Plugin(string access, string member) => $$"""
        using System.Composition; using StoragePlugins;
        {{AuthorsProject.PluginMark}}
        [Export(typeof(IOrderingPrimitive)), Strategy("mine")]
        {{access}} class Mine : IOrderingPrimitive
        {
            {{member}}
            public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException();
        }
        """;
}
