using System.Diagnostics;
using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost evaluate</c>: every place once, and nothing left behind however it ends.</summary>
public sealed class EvaluateTests : Scratch
{
    private const string Prefix = "sphost-evaluate-";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static bool CanAttach => FuseMounts.CanMount && SmallFileSystem.HasLoopDevices;

    [Fact]
    public void Every_place_has_its_rows_and_the_papers_their_figures()
    {
        string json = PathOf("run.json"), page = PathOf("run.html");
        ToolResult result = Evaluate(
            "--rounds", "1", "-p", "qcow2-ordered", "-p", "qcow2-barrier", "-w", "nbd-append64k", "-w", "dd-append-dsync", "-w", "ycsb-insert-sqlite",
            "-w", "iozone-write-1m-64k", "--place", "block", "--place", "guest-fs", "--place", "memory-fs", "--regime", "as-is", "--json", json, "--report", page).Expect(0);
        Assert.StartsWith("machine:", result.Output, StringComparison.Ordinal);
        JsonNode report = JsonNode.Parse(File.ReadAllText(json))!;
        Assert.Equal(0, Count(report, "FAILED"));
        JsonNode nbd = Row(report, "block-device", "nbd-append64k", "qemu");
        // What strace counts for QEMU 7.2: two an append, and three for the first in a table.
        Assert.InRange((double)nbd["amplification"]!["hostFlushesPerGuestFlush"]!, 1.9, 2.7);
        Assert.True((double)Row(report, "memory-file-system", "iozone-write-1m-64k", "pmfs-in-process")["bytesPerSecond"]! > 0);
        if (CanAttach)
        {
            foreach (string workload in (string[])["dd-append-dsync", "ycsb-insert-sqlite"])
            {
                foreach (string contender in (string[])["qemu", "qcow2-ordered", "qcow2-barrier"])
                {
                    JsonNode row = Row(report, "guest-file-system", workload, contender);
                    Assert.True((double)row["operationsPerSecond"]! > 0);
                    Assert.InRange((double)row["amplification"]!["hostFlushesPerGuestFlush"]!, 0.9, 3);
                    Assert.Equal(workload.StartsWith("dd", StringComparison.Ordinal), row["latency"] is null);
                }
            }

            // A file in place of a disk is timed and asked for flushes, and nobody counts below it.
            JsonNode plain = Row(report, "guest-file-system", "dd-append-dsync", "plain-file");
            Assert.True((double)plain["operationsPerSecond"]! > 0);
            Assert.InRange((double)plain["amplification"]!["guestFlushesPerOperation"]!, 1, 3);
            Assert.Null(plain["amplification"]!["hostFlushesPerGuestFlush"]);

            // ext4 asks for one flush a block for the data, and at least as many for the new size.
            Assert.InRange((double)Row(report, "guest-file-system", "dd-append-dsync", "qcow2-ordered")["amplification"]!["guestFlushesPerOperation"]!, 1, 3);
            Assert.Contains(report["papers"]!.AsArray(), figure => (string)figure!["workload"]! == "GNU dd append" && figure["ourChangePercent"] is not null);
        }

        Assert.Contains("<title>Evaluation of ", File.ReadAllText(page), StringComparison.Ordinal);
        RequireNothingLeft("run.html", "run.json");
    }

    [FuseFact]
    public void On_a_slow_device_everybody_waits_for_each_of_its_flushes()
    {
        JsonNode report = Run("-w", "mobibench-append-64k", "--place", "guest-fs", "--regime", "slow-flush", "--slow-flush", "3ms", "-p", "qcow2-journal", "--rounds", "1");
        foreach (string contender in (string[])["qemu", "qcow2-journal"])
        {
            JsonNode row = Row(report, "guest-file-system", "mobibench-append-64k", contender), counted = row["amplification"]!;
            double flushes = (double)counted["guestFlushesPerOperation"]! * (double)counted["hostFlushesPerGuestFlush"]!;
            Assert.True(1e6 / (double)row["operationsPerSecond"]! >= Math.Floor(flushes) * 3000, row.ToJsonString());
        }
    }

    [Fact]
    public void Without_the_right_to_mount_the_place_is_left_out_in_one_line()
    {
        ToolResult result = Tool.Run(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", $"TMPDIR={OpenFolder()}", SphostProcess.Executable, "evaluate", "-d", OpenFolder(), "--rounds", "1", "--regime", "as-is", "-p", "qcow2-journal",
            "--place", "guest-fs", "--place", "block", "-w", "dd-append-dsync", "-w", "nbd-overwrite64k", "--no-references").Expect(0);
        Assert.Contains("left out: guest-fs: needs root, to mount and to attach loop devices", result.Output.Split('\n'));
        Assert.Contains("\nnbd-overwrite64k: ", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SP4200", "--place", "moon")]
    [InlineData("SP4200", "--workload", "dd")]
    [InlineData("SP4102", "--rounds", "0")]
    [InlineData("SP4102", "--slow-flush", "2")]
    [InlineData("SP4103", "--directory", "/nowhere")]
    [InlineData("SP4109", "--json", "/nowhere/figures.json")]
    [InlineData("SP4109", "--report", "/nowhere/report.html")]
    [InlineData("SP2009", "--pipeline", "qcow3")]
    [InlineData("SP4200", "--clean-up", "../etc")]
    public void What_cannot_be_is_refused_before_anything_is_measured(string code, string option, string value)
    {
        Tool.Sphost("evaluate", option, value).ExpectError(code);
        RequireNothingLeft();
    }

    [FuseTheory]
    [InlineData("TERM", 1.2)]
    [InlineData("INT", 2.5)]
    [InlineData("KILL", 1.8)]
    [InlineData("KILL", 3.1)]
    public void A_signal_at_any_moment_leaves_neither_mounts_nor_devices_nor_processes_nor_files(string signal, double seconds)
    {
        using Process process = Start("--place", "guest-fs", "-p", "qcow2-journal", "--rounds", "20");
        Thread.Sleep(TimeSpan.FromSeconds(seconds));
        Tool.Succeed("kill", $"-{signal}", $"{process.Id}");
        Assert.True(process.WaitForExit(s_patience), "it did not end");
        if (signal != "KILL")
        {
            Assert.Equal(1, process.ExitCode);
            Assert.EndsWith("sphost: cancelled", process.StandardError.ReadToEnd().Trim(), StringComparison.Ordinal);
        }

        // After SIGKILL it is the supervisor that cleans up.
        Eventually(() => Left() is [], "nothing is left");
    }

    [FuseFact]
    public void What_nobody_could_clean_up_the_next_evaluation_takes_apart()
    {
        using Process process = Start("--place", "guest-fs", "-p", "qcow2-journal", "--rounds", "20");
        Eventually(() => FuseMounts.IsMounted(Mounted(Folder) ?? ""), "a guest's file system is mounted");
        // The supervisor first, as a container that ends would.
        foreach (string supervisor in Processes(each => each.Contains("sphost-evaluate-supervisor", StringComparison.Ordinal) && RunNames().Any(name => each.Contains(name, StringComparison.Ordinal)))) Tool.Succeed("kill", "-KILL", supervisor);
        process.Kill();
        process.WaitForExit(s_patience);
        Assert.NotEmpty(Left());
        Evaluate("--place", "block", "-w", "nbd-overwrite64k", "--rounds", "1", "--regime", "as-is", "--no-references", "-p", "raw").Expect(0);
        Assert.Equal([], Left());
    }

    [FuseFact]
    public void A_server_that_dies_is_told_of_and_the_others_go_on()
    {
        using Process process = Start("--place", "guest-fs", "-p", "qcow2-journal", "-p", "raw", "-w", "mobibench-append-4k", "--no-references", "--rounds", "20", "--regime", "as-is");
        string[] mounts = [];
        Eventually(() => (mounts = Processes(each => each.Contains($"{Folder}/", StringComparison.Ordinal) && each.Contains("qcow2-journal", StringComparison.Ordinal) && each.Contains("\0mount\0", StringComparison.Ordinal))).Length > 0, "our server is there");
        Thread.Sleep(500);
        Tool.Run("kill", "-KILL", mounts[0]);
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(s_patience), "it did not end");
        Assert.Equal(1, process.ExitCode);
        Assert.Contains("FAILED: guest-fs, qcow2-journal", output, StringComparison.Ordinal);
        Assert.Matches("(?m)^raw +[0-9.]+ ", output);
        Assert.Equal([], Left());
    }

    public override void Dispose()
    {
        foreach (string process in Processes(each => each.Contains($"{Folder}/{Prefix}", StringComparison.Ordinal))) Tool.Run("kill", "-KILL", process);
        FuseMounts.DetachBelow(Folder);
        base.Dispose();
    }

    // A folder that others may use as well.
    private string OpenFolder()
    {
        Tool.Succeed("chmod", "0777", Folder);
        return Folder;
    }

    private Process Start(params string[] arguments) => Process.Start(new ProcessStartInfo(SphostProcess.Executable, ["evaluate", "-d", Folder, .. arguments])
    {
        RedirectStandardError = true, RedirectStandardOutput = true, Environment = { ["TMPDIR"] = Folder },
    })!;

    private ToolResult Evaluate(params string[] arguments) => Tool.Run("env", [$"TMPDIR={Folder}", SphostProcess.Executable, "evaluate", "-d", Folder, .. arguments]);

    private JsonNode Run(params string[] arguments)
    {
        string json = PathOf("run.json");
        Evaluate([.. arguments, "--json", json]).Expect(0);
        return JsonNode.Parse(File.ReadAllText(json))!;
    }

    private static JsonNode Row(JsonNode report, string place, string workload, string contender) => report["rows"]!.AsArray().Single(
        row => (string)row!["place"]! == place && (string)row["workload"]! == workload && (string)row["contender"]! == contender)!;

    private static int Count(JsonNode report, string prefix) => report["notes"]!.AsArray().Count(note => ((string)note!).StartsWith(prefix, StringComparison.Ordinal));

    private string[] RunNames() => [.. Directory.EnumerateDirectories(Folder, Prefix + "*").Select(folder => Path.GetFileName(folder))];

    private static string? Mounted(string folder) => File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')[4]).FirstOrDefault(path => path.StartsWith(folder, StringComparison.Ordinal) && path.EndsWith("/guest", StringComparison.Ordinal));

    /// <summary>Whatever is left of evaluations in this test's folder.</summary>
    private string[] Left() =>
    [
        .. File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains($"{Folder}/{Prefix}", StringComparison.Ordinal)),
        .. Directory.EnumerateFileSystemEntries("/sys/block", "loop*").Select(device => Path.Combine(device, "loop", "backing_file")).Where(File.Exists).Where(file => ReadOrEmpty(file).Contains(Folder, StringComparison.Ordinal)),
        .. Processes(each => each.Contains($"{Folder}/{Prefix}", StringComparison.Ordinal)),
        .. Directory.EnumerateFileSystemEntries(Folder).Select(path => Path.GetFileName(path)).Where(name => name != "run.json"),
    ];

    private static string[] Processes(Func<string, bool> isOne)
        => [.. Directory.EnumerateDirectories("/proc").Where(folder => int.TryParse(Path.GetFileName(folder), out _) && isOne(ReadOrEmpty(Path.Combine(folder, "cmdline")))).Select(folder => Path.GetFileName(folder))];

    private static string ReadOrEmpty(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static void Eventually(Func<bool> condition, string what)
    {
        for (var watch = Stopwatch.StartNew(); !condition(); Thread.Sleep(20)) Assert.True(watch.Elapsed < s_patience, $"still not true: {what}");
    }

    private void RequireNothingLeft(params string[] files)
        => Assert.Equal(files, Directory.EnumerateFileSystemEntries(Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
}
