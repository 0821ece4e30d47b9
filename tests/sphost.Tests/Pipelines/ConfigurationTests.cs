using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Pipelines;

public sealed class ConfigurationTests : IDisposable
{
    private readonly Fixture _fixture = Fixture.With("Toy", "WrongMajor");
    private readonly PluginCatalog _catalog;

    public ConfigurationTests() => _catalog = _fixture.Scan([new FileStandIn().AsBuiltIn]);

    [Fact]
    public void A_configuration_with_comments_trailing_commas_and_every_key_is_read()
    {
        HostConfiguration configuration = Read("""
            {
              // where else to look
              "pluginDirectories": ["more", "/abs",],
              "pipelines": {
                "fast": {
                  "format": {"id": "toy", "gap": "1K"}, "journal": "toy-journal", "ordering": "toy-none",
                  "medium": [{"id": "toy-slow", "flushDelay": "2.5ms", "rate": "64K", "mode": "write-through", "loud": true, "jitter": 0.25, "color": "green", "steps": [7]}, "file"],
                  "description": "a test",
                },
              },
              "disks": { "one": {"image": "a.img", "pipeline": "fast", "size": "1.5G"}, "two": {"image": "/b.img", "readOnly": true, "description": "second"}, },
            }
            """);
        Assert.Empty(PipelineValidator.Check(configuration, _catalog));
        string folder = _fixture.Root;
        Assert.Equal([Path.Combine(folder, "more"), "/abs"], configuration.PluginDirectories);
        PipelineDefinition fast = configuration.Pipeline("fast");
        Assert.Equal(["toy", "toy-journal", "toy-none", "toy-slow", "file"], fast.Uses.Select(use => use.Id));
        Assert.Equal(["ordering 'toy-none': acknowledged writes are lost in a crash"], PipelineValidator.UnsafeReasons(fast, _catalog));
        Assert.Equal(
            [new DiskDefinition("one", Path.Combine(folder, "a.img"), "fast", 1536L << 20, false, ""), new DiskDefinition("two", "/b.img", null, null, true, "second")],
            configuration.Disks);

        var problems = new List<Diagnostic>();
        dynamic options = PipelineValidator.BindOptions(fast.Media[0], _catalog, problems)!;
        Assert.Empty(problems);
        Assert.Equal(TimeSpan.FromMicroseconds(2500), (TimeSpan)options.FlushDelay);
        Assert.Equal(65536L, (long)options.Rate);
        Assert.Equal("WriteThrough", options.Mode.ToString());
        Assert.True((bool)options.Loud);
        Assert.Equal(0.25, (double)options.Jitter);
        Assert.Equal([7], (IReadOnlyList<int>)options.Steps);
    }

    [Fact]
    public void Pipeline_without_a_medium_stands_on_the_file()
    {
        HostConfiguration configuration = Read("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order"}}}""");
        Assert.Empty(configuration.Problems);
        Assert.Equal(["file"], configuration.Defined.Single().Media.Select(medium => medium.Id));
    }

    [Theory]
    [InlineData("""{"pipelins": {}}""", "SP2004", "1:2", "'pipelins' is not known; did you mean 'pipelines'?")]
    [InlineData("""{"pipelines": {}, "pipelines": {}}""", "SP2003", "1:19", "'pipelines' is there twice")]
    [InlineData("[]", "SP2005", "1:1", "expected an object, found an array")]
    [InlineData("""{"pluginDirectories": [1]}""", "SP2005", "1:24", "'pluginDirectories[0]' has the wrong type (expected a string, found the number 1)")]
    [InlineData("""{"pipelines": {"raw": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}}""", "SP2011", "1:16", "redefines a built-in")]
    [InlineData("""{"pipelines": {"p q": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}}""", "SP2012", "1:16", "'p q'")]
    [InlineData("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "medium": "file"}}}""", "SP2010", "1:21", "'pipelines.p' has no 'ordering'")]
    [InlineData("""{"pipelines": {"p": {"format": {"gap": 1}, "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}}""", "SP2010", "1:32", "'pipelines.p.format' has no 'id'")]
    [InlineData("""{"pipelines": {"p": {"format": 7, "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}}""", "SP2005", "1:32", "an id, or an object")]
    [InlineData("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": []}}}""", "SP2006", "1:100", "'pipelines.p.medium' is empty")]
    [InlineData("""{"pipelines": {"p": {"format": "toi", "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}}}""", "SP2007", "1:32", "there is no format 'toi' (1 plugin was rejected: see 'sphost plugins list'); did you mean 'toy'?")]
    [InlineData("""{"pipelines": {"p": {"format": "toy", "journal": "toy-order", "ordering": "toy-order", "medium": "file"}}}""", "SP2008", "1:50", "'toy-order' is an ordering (expected a journal)")]
    [InlineData("""{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": {"id": "toy-order", "x": 1}, "medium": "file"}}}""", "SP2004", "1:97", "ordering 'toy-order' has no options")]
    [InlineData("""{"disks": {"d": {}}}""", "SP2010", "1:17", "'disks.d' has no 'image'")]
    [InlineData("""{"disks": {"d": {"image": ""}}}""", "SP2006", "1:27", "is empty")]
    [InlineData("""{"disks": {"d": {"image": "a", "pipeline": "row"}}}""", "SP2009", "1:44", "did you mean 'raw'?")]
    [InlineData("""{"disks": {"d": {"image": "a", "size": "10X"}}}""", "SP2006", "1:40", "found '10X'")]
    [InlineData("""{"disks": {"d": {"image": "a", "size": -1}}}""", "SP2006", "1:40", "found '-1'")]
    [InlineData("""{"disks": {"d": {"image": "a", "size": true}}}""", "SP2005", "1:40", "found true")]
    [InlineData("""{"disks": {"d": {"image": "a", "readOnly": "yes"}}}""", "SP2005", "1:44", "expected true or false, found the string \"yes\"")]
    [InlineData("""{"disks": {"d": {"image": "a", "readOnly": true, "size": "1G"}}}""", "SP2006", "1:58", "is 'readOnly'")]
    public void Each_mistake_is_one_line_with_file_line_column_and_key(string json, string code, string position, string text)
    {
        Diagnostic problem = Assert.Single(PipelineValidator.Check(Read(json), _catalog));
        Assert.Equal(code, problem.Code);
        Assert.StartsWith($"{Path.Combine(_fixture.Root, "config.json")}:{position}:", problem.Message, StringComparison.Ordinal);
        Assert.Contains(text, problem.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem.Message);
    }

    [Theory]
    [InlineData("\"flushDelai\": \"1ms\"", "SP2004", "did you mean 'flushDelay'?")]
    [InlineData("\"FlushDelay\": \"1ms\"", "SP2004", "did you mean 'flushDelay'?")]
    [InlineData("\"flushDelay\": 3", "SP2005", "expected a duration such as \"2ms\", found the number 3")]
    [InlineData("\"flushDelay\": \"3 parsec\"", "SP2006", "a duration")]
    [InlineData("\"flushDelay\": \"1m\"", "SP2006", "found 00:01:00")]
    [InlineData("\"rate\": 100", "SP2006", "must be between 512 and 1073741824 (found 100)")]
    [InlineData("\"rate\": \"2G\"", "SP2006", "must be between")]
    [InlineData("\"rate\": \"64Q\"", "SP2006", "a size such as \"64K\"")]
    [InlineData("\"rate\": 1.5", "SP2006", "a whole number")]
    [InlineData("\"rate\": \"9000000000000000000K\"", "SP2006", "a whole number")]
    [InlineData("\"mode\": \"WriteThrough\"", "SP2006", "one of write-back, write-through")]
    [InlineData("\"loud\": \"true\"", "SP2005", "true or false")]
    [InlineData("\"loud\": null", "SP2005", "found null")]
    [InlineData("\"color\": \"blue\"", "SP2006", "'pipelines.p.medium[0].color' is out of range")]
    [InlineData("\"steps\": 3", "SP2005", "expected an array")]
    [InlineData("\"steps\": [1, \"x\"]", "SP2006", "'pipelines.p.medium[0].steps[1]'")]
    [InlineData("\"steps\": [3000000000]", "SP2006", "from -2147483648 to 2147483647")]
    public void Options_are_checked_against_the_strategys_own_class(string option, string code, string text)
    {
        HostConfiguration configuration = Read(
            """{"pipelines": {"p": {"format": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": [{"id": "toy-slow", """ + option + """}, "file"]}}}""");
        Diagnostic problem = Assert.Single(PipelineValidator.Check(configuration, _catalog));
        Assert.Equal(code, problem.Code);
        Assert.Contains("config.json:1:1", problem.Message, StringComparison.Ordinal);
        Assert.Contains(text, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_problem_of_a_file_is_reported_not_only_the_first()
    {
        HostConfiguration configuration = Read("""
            {"x": 1, "pipelines": {
              "a": {"format": "nope", "journal": "toy-journal", "ordering": "none at all", "medium": {"id": "toy-slow", "rate": 1, "loud": 1}},
              "b": {"formt": "toy", "journal": "toy-journal", "ordering": "toy-order", "medium": "file"}},
             "disks": {"d": {"image": 3, "pipeline": "zzz"}}}
            """);
        string[] codes = [.. PipelineValidator.Check(configuration, _catalog).Select(problem => problem.Code).Order()];
        Assert.Equal(["SP2004", "SP2004", "SP2005", "SP2005", "SP2007", "SP2007", "SP2009", "SP2010"], codes);
    }

    [Fact]
    public void An_options_class_that_cannot_be_constructed_is_the_plugins_fault()
    {
        using Fixture fixture = Fixture.With("BadOptions");
        using PluginCatalog catalog = fixture.Scan([new FileStandIn().AsBuiltIn]);
        var problems = new List<Diagnostic>();
        PipelineValidator.BindOptions(new StrategyUse(StrategyKind.Ordering, "plain", [], "ordering", null), catalog, problems);
        Assert.Equal("SP1021", Assert.Single(problems).Code);
    }

    [Theory]
    [InlineData("{", "SP2002", "1:2")]
    [InlineData("{\n  \"a\" 1}", "SP2002", "2:7")]
    [InlineData("", "SP2002", "1:1")]
    [InlineData("{} {}", "SP2002", "1:4")]
    public void What_is_not_json_is_said_with_its_place(string json, string code, string position)
    {
        var exception = Assert.Throws<DiagnosticException>(() => Read(json));
        Assert.Equal(code, exception.Code);
        Assert.Contains($"config.json:{position}:", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_missing_or_too_large_is_refused()
    {
        Assert.Equal("SP2001", Assert.Throws<DiagnosticException>(() => ConfigurationReader.Read("/nonexistent.json")).Code);
        Assert.Equal("SP2001", Assert.Throws<DiagnosticException>(() => Read(new string(' ', ConfigParser.MaxBytes + 1))).Code);
        Assert.Equal("SP2002", Assert.Throws<DiagnosticException>(() => Read(new string('[', 100_000))).Code);
    }

    [Fact]
    public void Options_of_a_command_line_take_the_type_that_the_option_has()
    {
        var problems = new List<Diagnostic>();
        OptionSetting[] settings = [.. new[] { ("rate", "1M"), ("loud", "on"), ("mode", "write-through"), ("jitter", "0.1"), ("flushDelay", "3s"), ("steps", "4|5") }
            .Select(pair => OptionSetting.FromCommandLine(pair.Item1, pair.Item2))];
        dynamic options = OptionBinder.Bind(_catalog.OptionsType(_catalog.Require(StrategyKind.Medium, "toy-slow")), settings, "toy-slow", problems)!;
        Assert.Empty(problems);
        Assert.Equal((1L << 20, true, TimeSpan.FromSeconds(3)), ((long)options.Rate, (bool)options.Loud, (TimeSpan)options.FlushDelay));
        Assert.Equal([4, 5], (IReadOnlyList<int>)options.Steps);
    }

    [Fact]
    public void The_schema_of_options_says_what_configurations_may_write()
    {
        var schema = OptionSchema.Export(_catalog.OptionsType(_catalog.Require(StrategyKind.Medium, "toy-slow"))!, "toy-slow");
        Assert.False((bool)schema["additionalProperties"]!);
        var delay = schema["properties"]!["flushDelay"]!;
        Assert.Equal(("How long a flush takes.", "1ms", "0", "10s"), ((string)delay["description"]!, (string)delay["default"]!, (string)delay["minimum"]!, (string)delay["maximum"]!));
        Assert.Equal(512, (int)schema["properties"]!["rate"]!["minimum"]!);
        Assert.Equal("""["write-back","write-through"]""", schema["properties"]!["mode"]!["enum"]!.ToJsonString());
        Assert.Equal("""["red","green"]""", schema["properties"]!["color"]!["enum"]!.ToJsonString());
        Assert.Equal("[1,2]", schema["properties"]!["steps"]!["default"]!.ToJsonString());
    }

    public void Dispose()
    {
        _catalog.Dispose();
        _fixture.Dispose();
    }

    private HostConfiguration Read(string json)
    {
        string path = Path.Combine(_fixture.Root, "config.json");
        File.WriteAllText(path, json);
        return ConfigurationReader.Read(path);
    }
}
