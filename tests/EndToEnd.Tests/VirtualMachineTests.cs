using System.Diagnostics;
using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A virtual machine as a place of <c>sphost evaluate</c>: QEMU and Debian's kernel, booted for real.</summary>
public sealed class VirtualMachineTests : Scratch
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [VirtualMachineFact]
    public void Programs_of_the_guest_reach_the_disk_and_what_they_cost_is_counted()
    {
        string figures = PathOf("figures.json");
        Tool.Sphost([.. Arguments("-w", "dd-append-dsync", "-w", "fio-journal", "--json", figures)]).Expect(0);
        JsonArray rows = JsonNode.Parse(File.ReadAllText(figures))!["rows"]!.AsArray();
        Assert.Equal(["dd-append-dsync", "fio-journal"], rows.Select(row => (string)row!["workload"]!));
        foreach (JsonNode? row in rows)
        {
            Assert.Equal("virtual-machine", (string)row!["place"]!);
            Assert.True((double)row["operationsPerSecond"]! > 0);
            // Every record is durable when its write returns, and the journal in the image makes one sync of each flush; the kernel's own flushes come on top.
            Assert.InRange((double)row["amplification"]!["guestFlushesPerOperation"]!, 1, 4);
            Assert.InRange((double)row["amplification"]!["hostFlushesPerGuestFlush"]!, 0.9, 1.2);
        }

        Assert.NotNull(rows[1]!["latency"]);
        AssertNothingIsLeft();
    }

    [VirtualMachineFact]
    public void Nothing_is_left_of_a_machine_that_is_interrupted_while_it_boots()
    {
        using Process sphost = Process.Start(new ProcessStartInfo(SphostProcess.Executable, Arguments("-w", "dd-append-dsync")) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = sphost.StandardOutput.ReadToEndAsync(), errors = sphost.StandardError.ReadToEndAsync();
        Assert.True(SpinWait.SpinUntil(() => Machines().Any() || sphost.HasExited, s_patience), "no virtual machine was started");
        Tool.Succeed("kill", "-INT", $"{sphost.Id}");
        Assert.True(sphost.WaitForExit(s_patience), "it did not end");
        Assert.True(sphost.ExitCode == 1 && errors.Result.EndsWith("cancelled\n", StringComparison.Ordinal), $"exit {sphost.ExitCode}\n{output.Result}{errors.Result}");
        AssertNothingIsLeft();
    }

    [Fact]
    public void A_kernel_that_is_not_there_is_refused_in_one_line() =>
        Tool.Sphost("evaluate", "--scale", "quick", "--place", "virtual-machine", "-d", Folder, "--kernel", PathOf("vmlinuz-1.2.3")).ExpectErrorAfterNotes("SP4220");

    private string[] Arguments(params string[] more) =>
    [
        "evaluate", "--scale", "quick", "--place", "virtual-machine", "--rounds", "1", "--regime", "as-is", "-p", "qcow2-journal", "--no-references",
        "--kernel", VirtualMachineFactAttribute.Kernel!, "-d", Folder, .. more,
    ];

    private void AssertNothingIsLeft()
    {
        Assert.Empty(Machines());
        Assert.Empty(Directory.EnumerateDirectories(Folder));
    }

    // Its images lie in the folder, and its command line names them.
    private IEnumerable<string> Machines() => Directory.EnumerateDirectories("/proc").Where(process => int.TryParse(Path.GetFileName(process), out _)).Where(process =>
    {
        try
        {
            string commandLine = File.ReadAllText(Path.Combine(process, "cmdline"));
            return commandLine.Contains("qemu-system", StringComparison.Ordinal) && commandLine.Contains(Folder, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // It ended meanwhile.
        }
    });
}
