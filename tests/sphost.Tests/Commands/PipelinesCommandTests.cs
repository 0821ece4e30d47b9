using System.Text.Json.Nodes;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Commands;

/// <summary>The built sphost of the shippable tree, as users run it.</summary>
public sealed class PipelinesCommandTests : IDisposable
{
    private readonly Fixture _fixture = Fixture.With("Toy", "ThrowsInConstructor");

    [Fact]
    public void List_shows_the_built_in_pipelines_and_the_default()
    {
        CommandResult result = Command.Sphost("pipelines", "list");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Matches(@"(?m)^qcow2-journal \(default\) +qcow2 +internal +fdatasync +file +ready ", result.Output);
        Assert.Matches(@"(?m)^raw +raw +ordered +fdatasync +file +ready ", result.Output);
    }

    [Fact]
    public void An_unsafe_pipeline_is_shown_as_unsafe_everywhere()
    {
        string config = Config("""{"pipelines": {"fast": {"format": "qcow2", "journal": "ordered", "ordering": "none", "medium": ["toy-slow", "file"]}}}""");
        Assert.Matches(@"(?m)^fast +qcow2 +ordered +none +toy-slow on file +UNSAFE", Run("list", "--config", config).Output);
        Assert.Matches(@"(?m)^UNSAFE: +ordering 'none': ", Run("show", "fast", "--config", config).Output);
        JsonNode json = JsonNode.Parse(Run("show", "fast", "--json", "--config", config).Output)!;
        Assert.True((bool)json["usable"]!);
        Assert.StartsWith("ordering 'none': ", (string)Assert.Single(json["unsafe"]!.AsArray())!, StringComparison.Ordinal);
    }

    [Fact]
    public void Show_repeats_options_as_they_were_written()
    {
        string config = Config("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": [{"id": "toy-slow", "rate": "64K", "steps": [1, 2]}, "file"]}}}""");
        JsonNode medium = JsonNode.Parse(Run("show", "p", "--json", "--config", config).Output)!["medium"]![0]!;
        Assert.Equal("""{"id":"toy-slow","rate":"64K","steps":[1,2]}""", medium.ToJsonString());
    }

    [Fact]
    public void Validate_reports_every_problem_on_a_line_of_its_own()
    {
        string config = Config("""
            {"pipelines": {"p": {"format": "toy", "journl": "x", "journal": "toy-journal", "ordering": "toy-ordr", "medium": {"id": "toy-slow", "rate": 1}}}}
            """);
        CommandResult result = Run("validate", config);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal(["SP2004", "SP2007", "SP2006"], result.Error.TrimEnd().Split('\n').Select(line => line["sphost: error ".Length..].Split(':')[0]));

        JsonNode json = JsonNode.Parse(Run("validate", config, "--json").Output)!;
        Assert.False((bool)json["valid"]!);
        Assert.Equal(3, json["problems"]!.AsArray().Count);
    }

    [Fact]
    public void Validate_accepts_what_is_right()
    {
        string config = Config("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}, "disks": {"d": {"image": "d.img", "pipeline": "p", "size": "1G"}}}""");
        CommandResult result = Run("validate", config);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("valid", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pipelines")]
    [InlineData("pipelines", "lst")]
    [InlineData("pipelines", "list", "--nope")]
    [InlineData("pipelines", "show")]
    [InlineData("nope")]
    [InlineData("--plugins")]
    public void A_command_line_that_makes_no_sense_is_2_with_a_hint(params string[] arguments)
    {
        CommandResult result = Command.Sphost(arguments);
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.All(result.Error.TrimEnd().Split('\n'), line => Assert.StartsWith("sphost: ", line, StringComparison.Ordinal));
        Assert.Contains("--help'", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reader_that_goes_away_is_no_error()
    {
        string sphost = Path.Combine(Fixture.Metadata("DistDir"), "sphost");
        CommandResult result = Command.Run("/bin/bash", null, "-c", $"'{sphost}' plugins list --json --plugins '{_fixture.Root}' | head -n 1; echo ${{PIPESTATUS[0]}}");
        Assert.Equal("{\n0\n", result.Output);
        Assert.Equal("", result.Error);
    }

    [Fact]
    public void Version_is_one_line()
    {
        CommandResult result = Command.Sphost("--version");
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"^sphost [0-9]+\.[0-9]+\.[0-9]+\n$", result.Output);
    }

    public void Dispose() => _fixture.Dispose();

    private string Config(string json) => _fixture.Write("config.json", System.Text.Encoding.UTF8.GetBytes(json));

    private CommandResult Run(params string[] arguments) => Command.Sphost(["pipelines", .. arguments, "--plugins", _fixture.Root]);
}
