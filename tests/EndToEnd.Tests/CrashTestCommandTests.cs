using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost crash-test</c> as people and programs run it: in every run of the tests for some seconds a pipeline, for minutes with --long.</summary>
public sealed class CrashTestCommandTests : Scratch
{
    private static readonly string s_budget = Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1" ? "300s" : "5s";

    [Theory]
    [InlineData("qcow2-ordered", "disk", 2_000)]
    [InlineData("qcow2-journal", "disk", 1_000)]
    [InlineData("qcow2-barrier", "disk", 2_000)]
    [InlineData("qcow2-barrier", "barrier", 2_000)]
    [InlineData("qcow2-pm", "pm", 200)]
    [InlineData("raw", "disk", 5_000)]
    public void Pipeline_survives_every_power_cut_that_is_tried(string pipeline, string model, int leastStates)
    {
        ToolResult run = Tool.Sphost("crash-test", "-p", pipeline, "--model", model, "--budget", s_budget, "--json", "-");
        JsonNode report = JsonNode.Parse(run.Output)!;
        Assert.True(run.ExitCode == 0 && (int)report["failures"]! == 0, run.Output);
        Assert.True((long)report["distinctStates"]! >= leastStates, $"only {report["distinctStates"]} states");
        Assert.InRange((long)report["judgedStates"]!, (long)report["distinctStates"]!, (long)report["states"]!);
        Assert.True((double)report["statesPerSecond"]! > 0);
        Assert.Equal(1, (int)report["seed"]!);
        Assert.Equal(model, (string?)report["tests"]![0]!["model"]);
    }

    [Fact]
    public void Pipeline_without_order_is_found_out_with_a_story_and_exit_code_1()
    {
        string config = PathOf("unsafe.yaml"), file = PathOf("report.json");
        File.WriteAllText(config, """
            pipelines:
              hasty:
                format: qcow2
                journal: ordered
                ordering: none
            """);
        ToolResult run = Tool.Sphost("crash-test", "--config", config, "-p", "hasty", "--budget", "20s", "--seed", "7", "--json", file).Expect(1);
        Assert.Contains("hasty breaks I", run.Output, StringComparison.Ordinal);
        Assert.Contains("UNSAFE: hasty", run.Errors, StringComparison.Ordinal);
        JsonNode report = JsonNode.Parse(File.ReadAllText(file))!;
        Assert.Equal(1, (int)report["failures"]!);
        Assert.Equal(7, (int)report["seed"]!);
        Assert.NotEmpty(report["tests"]![0]!["failures"]![0]!["story"]!.AsArray());
    }

    [Theory]
    [InlineData("SP6001", "--budget", "60")]
    [InlineData("SP6001", "--states", "0")]
    [InlineData("SP4109", "--json", "/no/such/folder/report.json")]
    [InlineData("SP2009", "--pipeline", "qcow3")]
    public void Wrong_option_is_one_line(string code, string option, string value)
    {
        ToolResult run = Tool.Sphost("crash-test", option, value).Expect(1);
        Assert.Contains(code, Assert.Single(run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }
}
