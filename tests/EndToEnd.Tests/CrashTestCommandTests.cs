using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost crash-test</c> as people and programs run it: in every run of the tests for some seconds a pipeline, for minutes with --long.</summary>
public sealed class CrashTestCommandTests : Scratch
{
    private static readonly string s_budget = Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1" ? "300s" : "5s";

    // How many states there are in five seconds is the machine's business; here only that there were some of each kind.
    [Theory]
    [InlineData("qcow2-ordered", "disk", 200)]
    [InlineData("qcow2-journal", "disk", 200)]
    [InlineData("qcow2-barrier", "disk", 200)]
    [InlineData("qcow2-barrier", "barrier", 200)]
    [InlineData("qcow2-pm", "pm", 100)]
    [InlineData("raw", "disk", 500)]
    [InlineData("pmfs", "pm", 100)]
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
        string config = PathOf("unsafe.json"), file = PathOf("report.json");
        File.WriteAllText(config, """{ "pipelines": { "hasty": { "format": "qcow2", "journal": "ordered", "ordering": "none" } } }""");
        ToolResult run = Tool.Sphost("crash-test", "--config", config, "-p", "hasty", "--budget", "20s", "--seed", "7", "--failures", Folder, "--json", file).Expect(1);
        Assert.Contains("hasty breaks I", run.Output, StringComparison.Ordinal);
        Assert.Contains("healed by", run.Output, StringComparison.Ordinal);
        Assert.Contains("UNSAFE: hasty", run.Errors, StringComparison.Ordinal);
        JsonNode report = JsonNode.Parse(File.ReadAllText(file))!;
        Assert.Equal(1, (int)report["failures"]!);
        Assert.Equal(7, (int)report["seed"]!);
        string replay = (string)report["stories"]![0]!["replayFile"]!;
        Assert.Contains("still fails", Tool.Sphost("crash-test", "--config", config, "--replay", replay).Expect(1).Output, StringComparison.Ordinal);

        File.WriteAllText(config, File.ReadAllText(config).Replace("none", "fdatasync", StringComparison.Ordinal));
        Assert.Contains("no longer fails", Tool.Sphost("crash-test", "--config", config, "--replay", replay).Expect(0).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Signal_that_timeout_sends_twice_is_one_request_to_end_with_what_there_is()
    {
        ToolResult run = Tool.Run("timeout", "--signal=TERM", "--preserve-status", "4", SphostProcess.Executable, "crash-test", "-p", "raw", "--budget", "60s", "--seed", "7").Expect(1);
        Assert.Matches(@"(?m)^raw +disk +\d+ .* 0$", run.Output);
    }

    [Fact]
    public void Log_of_QEMU_is_sound_and_corrupt_when_its_flushes_are_ignored()
    {
        string image = PathOf("disk.qcow2"), before = PathOf("before.qcow2"), log = PathOf("log");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "8M");
        File.Copy(image, before);
        using (FileStream empty = File.Create(log)) empty.SetLength(64 << 20);
        string[] work = ["write -P 1 0 64k", "flush", "write -P 2 1M 128k", "flush", "write -P 3 64k 64k", "write -P 4 3M 64k", "flush", "discard 0 64k", "flush"];
        Tool.Run("qemu-io", ["-t", "writeback", "--image-opts",
            $"driver=qcow2,file.driver=blklogwrites,file.file.driver=file,file.file.filename={image},file.log.driver=file,file.log.filename={log}", .. work.SelectMany(one => (string[])["-c", one])]).Expect(0);
        JsonNode sound = JsonNode.Parse(Tool.Sphost("crash-test", "--trace", log, "--image", before, "--budget", "3s", "--json", "-").Expect(0).Output)!;
        Assert.True((long)sound["distinctStates"]! > 200 && (int)sound["failures"]! == 0 && (long)sound["leaksOnly"]! > 0, sound.ToString());
        Assert.Contains("I3: ", Tool.Sphost("crash-test", "--trace", log, "--image", before, "--budget", "3s", "--ignore-flushes").Expect(1).Output, StringComparison.Ordinal);
        Tool.Sphost("crash-test", "--trace", log).ExpectError("SP6003");
    }

    [Fact]
    public void Conformance_accepts_our_plugins_and_says_what_it_asked()
    {
        string plugin = Path.Combine(Path.GetDirectoryName(SphostProcess.Executable)!, "plugins", "Fsync");
        JsonNode report = JsonNode.Parse(Tool.Sphost("conformance", plugin, "--budget", "1s", "--json").Expect(0).Output)!;
        Assert.Equal(0, (int)report["failed"]!);
        Assert.True((int)report["passed"]! > 20);
        Assert.Contains(report["cases"]!.AsArray(), one => (string?)one!["name"] == "a failed flush is final, and the device is not asked again");
        Tool.Sphost("conformance", PathOf("no-such-plugin")).ExpectError("SP1001");
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
