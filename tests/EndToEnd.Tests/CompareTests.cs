using System.Diagnostics;
using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost compare</c> with the real qemu-nbd: figures that were found by strace before, and nothing left behind.</summary>
public sealed class CompareTests : Scratch
{
    private const int Operations = 100;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    // What strace counts for QEMU 7.2: 2 an append and 3 a new L2 table; lazily 1 an append, 3 a table, 1 for the dirty bit and 2 at the close;
    // 3 a copy on write after a snapshot, and 4 (6 lazily, from open to close) once.
    [Theory]
    [InlineData("append64k", "qemu-nbd", (2 * Operations) + 3, (2 * Operations) + 3, 192)]
    [InlineData("append64k", "qemu-nbd-lazy", Operations + 4, Operations + 6, 128)]
    [InlineData("append64k", "qemu-nbd-raw-sparse", Operations, Operations, 64)]
    [InlineData("random64k", "qemu-nbd", (2 * Operations) + (3 * 40), (2 * Operations) + (3 * 40), 192)]
    [InlineData("overwrite64k", "qemu-nbd", Operations, Operations, 64)]
    [InlineData("overwrite64k-after-snapshot", "qemu-nbd", (3 * Operations) + 4, (3 * Operations) + 4, 256)]
    public void QEMU_is_counted_as_strace_counts_it(string workload, string reference, int flushes, int openToClose, int leastKiB)
    {
        JsonNode row = Row(Compare("--workload", workload, "--rounds", "1"), reference, workload);
        Assert.Equal(flushes, Math.Round((double)row["hostFlushesPerGuestFlush"]! * Operations));
        Assert.Equal(openToClose, Math.Round((double)row["openToClosePerOperation"]!["hostFlushes"]! * Operations));
        Assert.InRange((double)row["bytesWrittenPerOperation"]!, leastKiB << 10, (leastKiB + 64) << 10);
    }

    [Fact]
    public void What_a_pipeline_counts_of_itself_is_what_strace_sees()
    {
        const int FlushCostSamples = 2 * 100;
        const int Runs = 2; // the one that warms up, as long as the other here, and the round
        string trace = PathOf("trace"), figures = PathOf("figures.json");
        Tool.Run("strace", "-f", "-ttt", "-e", $"trace={SyncTrace.Calls}", "-o", trace, SphostProcess.Executable, "compare", "-d", Folder, "--no-references",
            "-p", "qcow2-ordered", "-w", "append64k", "--rounds", "1", "--operations", $"{Operations}", "--json", figures).Expect(0);
        int calls = new SyncTrace(trace).Between(DateTime.MinValue, DateTime.MaxValue)["fdatasync"];
        double counted = (double)Row(JsonNode.Parse(File.ReadAllText(figures))!, "qcow2-ordered", "append64k")["openToClosePerOperation"]!["hostFlushes"]!;
        Assert.Equal(calls, FlushCostSamples + (Runs * Math.Round(counted * Operations)));
    }

    [Fact]
    public void Rows_have_medians_ratios_and_counts_and_the_header_says_where_they_come_from()
    {
        string file = PathOf("figures.json");
        string table = Tool.Sphost("compare", "-d", Folder, "--operations", $"{Operations}", "--rounds", "2", "-p", "qcow2-ordered", "-p", "raw", "--json", file).Expect(0).Output;
        JsonNode report = JsonNode.Parse(File.ReadAllText(file))!;
        foreach (string workload in (string[])["append64k", "overwrite64k", "random64k", "overwrite64k-after-snapshot", "random4k-sync", "writers16"])
        {
            Assert.Contains($"\n{workload}: ", table, StringComparison.Ordinal);
            JsonNode row = Row(report, "qcow2-ordered", workload);
            double median = (double)row["medianMicroseconds"]!;
            Assert.InRange(median, 1, (double)row["p99Microseconds"]!);
            Assert.Equal(2, row["rounds"]!.AsArray().Count);
            Assert.True((double)row["ratioToQemu"]! > 0);
            Assert.Equal(1, (double)Row(report, "qemu-nbd", workload)["ratioToQemu"]!);
            Assert.Equal(0, (double)row["barriersPerGuestFlush"]!);
            Assert.Equal(0, (double)row["preallocatedBytesPerOperation"]!);
        }

        Assert.InRange((double)Row(report, "qcow2-ordered", "append64k")["hostFlushesPerGuestFlush"]!, 1.9, 2.01);
        Assert.InRange((double)Row(report, "qcow2-ordered", "append64k")["bytesWrittenPerOperation"]!, 64 << 10, 66 << 10);
        Assert.InRange((double)Row(report, "qcow2-ordered", "overwrite64k-after-snapshot")["hostFlushesPerGuestFlush"]!, 1.9, 2.01);
        Assert.Equal(1, (double)Row(report, "raw", "append64k")["hostFlushesPerGuestFlush"]!);
        Assert.Equal(4096, (double)Row(report, "raw", "random4k-sync")["bytesWrittenPerOperation"]!);
        Assert.InRange((double)Row(report, "qcow2-ordered", "writers16")["hostFlushesPerGuestFlush"]!, 1.0 / 16, 0.9);
        Assert.True((double)report["host"]!["appendFlushMicroseconds"]! > 0);
        Assert.StartsWith("7.", (string)report["versions"]!["qemu-nbd"]! + ".", StringComparison.Ordinal);
        Assert.Contains("left out: raw, overwrite64k-after-snapshot: format raw has no internal snapshots", table.Split('\n'));
        RequireNothingLeft("figures.json");
    }

    [Fact]
    public void A_slow_flush_is_paid_by_everyone_for_each_of_its_flushes()
    {
        JsonNode report = Compare("-w", "append64k", "--rounds", "1", "--slow-flush", "3ms", "-p", "qcow2-ordered", "-p", "raw");
        foreach (JsonNode? row in report["rows"]!.AsArray())
        {
            // The median operation pays for whole flushes; the rest, of new tables, for more.
            double least = Math.Floor((double)row!["hostFlushesPerGuestFlush"]!) * 3000;
            // How much more it takes is the machine's load; how many flushes there are is counted.
            Assert.True((double)row["medianMicroseconds"]! >= least, $"{row["medianMicroseconds"]} for at least {least}");
        }

        Assert.Equal(Math.Round(((2.0 * Operations) + 3) / Operations, 3), Math.Round((double)Row(report, "qemu-nbd", "append64k")["hostFlushesPerGuestFlush"]!, 3));
    }

    [Fact]
    public void Without_QEMU_the_references_are_left_out_in_one_line()
    {
        ToolResult result = Tool.Run("/usr/bin/env", "PATH=/nowhere", SphostProcess.Executable, "compare", "-d", Folder, "--operations", "20", "--rounds", "1", "-p", "qcow2-ordered").Expect(0);
        Assert.Equal(
            ["left out: all references: qemu-nbd is not installed", "left out: qcow2-ordered, overwrite64k-after-snapshot: qemu-img, which takes the snapshot, is not installed"],
            result.Output.Split('\n').Where(line => line.StartsWith("left out: ", StringComparison.Ordinal)));
        Assert.Matches("(?m)^qcow2-ordered +[0-9]+ +[0-9]+ +[0-9]+ +– +0% +2\\.000 ", result.Output);
        RequireNothingLeft();
    }

    [Fact]
    public void An_image_in_memory_on_a_slow_device_is_a_pipeline_like_any_other()
    {
        string config = PathOf("memory.json");
        File.WriteAllText(config, """
            {"pipelines": {"mem": {"format": "qcow2", "journal": "ordered", "ordering": "fdatasync", "medium": [{"id": "slow", "flush": "1ms"}, {"id": "memory", "limit": "256M"}]}}}
            """);
        ToolResult result = Tool.Sphost("compare", "-d", Folder, "--config", config, "-p", "mem", "--no-references", "--operations", $"{Operations}", "--rounds", "2", "--json", PathOf("m.json")).Expect(0);
        JsonNode report = JsonNode.Parse(File.ReadAllText(PathOf("m.json")))!;
        JsonNode row = Row(report, "mem", "append64k");
        Assert.True((double)row["medianMicroseconds"]! >= 2000, $"{row["medianMicroseconds"]}");
        Assert.Equal(2, (double)row["hostFlushesPerGuestFlush"]!, 2);
        Assert.Contains("UNSAFE: mem: medium 'memory': an image in memory is gone when the process ends", result.Output.Split('\n'));
        Assert.Contains("left out: mem, overwrite64k-after-snapshot: qemu-img, which takes the snapshot, needs a file", result.Output.Split('\n'));
        Assert.Equal(5, report["rows"]!.AsArray().Count);
    }

    [Theory]
    [InlineData("SP4101", "--workload", "append")]
    [InlineData("SP4102", "--size", "64M")]
    [InlineData("SP4102", "--rounds", "0")]
    [InlineData("SP4102", "--slow-flush", "2")]
    [InlineData("SP4103", "--directory", "/nowhere")]
    [InlineData("SP4109", "--json", "/nowhere/figures.json")]
    [InlineData("SP2009", "--pipeline", "qcow3")]
    public void What_cannot_be_is_refused_before_anything_is_measured(string code, string option, string value)
    {
        string[] directory = option == "--directory" ? [] : ["--directory", Folder];
        Tool.Sphost(["compare", option, value, .. directory]).ExpectError(code);
        RequireNothingLeft();
    }

    [Fact]
    public void A_pipeline_asked_for_by_name_that_cannot_be_used_is_an_error_with_its_reason()
    {
        string config = PathOf("limit.json");
        File.WriteAllText(config, """{"pipelines": {"small": {"format": "qcow2", "journal": "ordered", "ordering": "fdatasync", "medium": [{"id": "memory", "limit": "1M"}]}}}""");
        Tool.Sphost("compare", "-d", Folder, "--config", config, "-p", "small", "--no-references", "-w", "append64k").ExpectErrorAfterNotes("SP4106");
        RequireNothingLeft("limit.json");
    }

    [Fact]
    public void An_image_that_cannot_be_made_is_the_error_and_not_that_it_is_missing_afterwards()
    {
        string config = PathOf("odd.json");
        File.WriteAllText(config, """{"pipelines": {"odd": {"format": {"id": "qcow2", "clusterSize": 3000}, "journal": "ordered", "ordering": "fdatasync"}}}""");
        ToolResult named = Tool.Sphost("compare", "-d", Folder, "--config", config, "-p", "odd", "--no-references", "-w", "append64k").ExpectErrorAfterNotes("SP3010");
        Assert.Contains("3000", named.Errors, StringComparison.Ordinal);
        ToolResult all = Tool.Sphost("compare", "-d", Folder, "--config", config, "--no-references", "-w", "append64k", "--rounds", "1", "--operations", "10").Expect(0);
        Assert.Matches("(?m)^left out: odd: SP3010: ", all.Output);
        Assert.Matches("(?m)^qcow2-ordered ", all.Output);
        RequireNothingLeft("odd.json");
    }

    [Theory]
    [InlineData("-INT")]
    [InlineData("-TERM")]
    public void A_signal_ends_it_and_leaves_neither_images_nor_children(string signal)
    {
        using Process process = StartLong(out int child);
        Tool.Succeed("kill", signal, $"{process.Id}");
        Assert.True(process.WaitForExit(s_patience), "it did not end");
        Assert.Equal(1, process.ExitCode);
        Assert.EndsWith("sphost: cancelled", process.StandardError.ReadToEnd().Trim(), StringComparison.Ordinal);
        Eventually(() => !Directory.Exists($"/proc/{child}"), "qemu-nbd is gone");
        RequireNothingLeft();
    }

    [Fact]
    public void A_killed_host_leaves_no_qemu_nbd_running()
    {
        using Process process = StartLong(out int child);
        process.Kill();
        Eventually(() => !Directory.Exists($"/proc/{child}"), "qemu-nbd is gone");
    }

    /// <summary>Starts a comparison that takes minutes and waits until a qemu-nbd is at work.</summary>
    private Process StartLong(out int child)
    {
        var start = new ProcessStartInfo(SphostProcess.Executable, ["compare", "-d", Folder, "--operations", "20000", "-w", "append64k", "-p", "raw"])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["TMPDIR"] = Folder },
        };
        Process process = Process.Start(start)!;
        int found = 0;
        Eventually(() => (found = QemuNbdBelow(process.Id)) != 0, "a qemu-nbd is at work");
        // Until its client is there.
        Thread.Sleep(300);
        child = found;
        return process;
    }

    private static int QemuNbdBelow(int parent)
    {
        foreach (string pid in Children(parent).Concat(Children(parent).SelectMany(child => Children(int.Parse(child)))))
        {
            if (File.Exists($"/proc/{pid}/comm") && File.ReadAllText($"/proc/{pid}/comm").Trim() == "qemu-nbd") return int.Parse(pid);
        }

        return 0;
    }

    private static string[] Children(int parent) => Directory.Exists($"/proc/{parent}/task")
        ? [.. Directory.EnumerateDirectories($"/proc/{parent}/task").SelectMany(task => File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))]
        : [];

    private static void Eventually(Func<bool> condition, string what)
    {
        for (var watch = Stopwatch.StartNew(); !condition(); Thread.Sleep(20)) Assert.True(watch.Elapsed < s_patience, $"still not true: {what}");
    }

    private JsonNode Compare(params string[] arguments) => JsonNode.Parse(
        Tool.Sphost(["compare", "-d", Folder, "--operations", $"{Operations}", "--json", "-", .. arguments]).Expect(0).Output)!;

    private static JsonNode Row(JsonNode report, string pipeline, string workload)
        => report["rows"]!.AsArray().Single(row => (string)row!["pipeline"]! == pipeline && (string)row["workload"]! == workload)!;

    private void RequireNothingLeft(params string[] files)
        => Assert.Equal(files, Directory.EnumerateFileSystemEntries(Folder).Select(Path.GetFileName));
}
