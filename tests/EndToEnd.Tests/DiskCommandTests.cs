using System.Diagnostics;
using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost disk</c>: a running host is asked, and a live disk moves to another pipeline.</summary>
public sealed class DiskCommandTests : Scratch
{
    [Fact]
    public void Live_disk_is_switched_ten_times_under_load_and_loses_nothing()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "512M");
        using Process fio = Process.Start(new ProcessStartInfo("fio",
        [
            "--name=guest", "--ioengine=nbd", $"--uri={sphost.Uri("")}", "--rw=randwrite", "--bs=4k", "--iodepth=8", "--size=256m", "--fsync=16", "--time_based", "--runtime=120",
            "--verify=crc32c", "--verify_backlog=512", "--verify_fatal=1",
        ]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Folder })!;
        Task<string> output = fio.StandardOutput.ReadToEndAsync(), errors = fio.StandardError.ReadToEndAsync();
        try
        {
            var pauses = new List<double>();
            string[] pipelines = ["qcow2-ordered", "qcow2-pm", "qcow2-barrier", "qcow2-journal"];
            for (int i = 0; i < 10; i++)
            {
                long before = Writes();
                // The guest is at work before and after each switch.
                SpinWait.SpinUntil(() => Writes() > before + 200, TimeSpan.FromSeconds(30));
                JsonNode reply = JsonNode.Parse(Tool.Sphost("disk", "switch", "vm.qcow2", "-p", pipelines[i % pipelines.Length], "--control", PathOf("vm.qcow2.control"), "--json").Expect(0).Output)!;
                Assert.Equal(pipelines[i % pipelines.Length], (string)reply["to"]!);
                pauses.Add((double)reply["pauseMilliseconds"]!);
            }

            Assert.False(fio.HasExited, "fio ended early: " + (fio.HasExited ? output.Result + errors.Result : ""));
            // What a loaded machine makes of it; docs/plugin-authors.md has the figures of an idle one.
            Assert.All(pauses, pause => Assert.InRange(pause, 0, 5000));
        }
        finally
        {
            Tool.Run("kill", "-INT", fio.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        Assert.True(fio.WaitForExit(TimeSpan.FromSeconds(60)));
        Assert.DoesNotContain("verify:", errors.Result + output.Result, StringComparison.Ordinal);
        Assert.Contains("err= 0", output.Result, StringComparison.Ordinal);
        sphost.Close();
        Qemu.RequireClean(PathOf("vm.qcow2"));

        long Writes() => (long)JsonNode.Parse(Tool.Sphost("disk", "stats", "--control", PathOf("vm.qcow2.control"), "--json").Expect(0).Output)![0]!["guestWrites"]!;
    }

    [Fact]
    public void Running_host_is_found_in_its_folder_and_says_what_it_serves()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "64M");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(PathOf("vm.qcow2.control")));
        ToolResult list = Tool.RunIn(Folder, null, SphostProcess.Executable, "disk", "list").Expect(0);
        Assert.Contains("vm.qcow2  64M   qcow2   qcow2-journal  serving", list.Output, StringComparison.Ordinal);
        Tool.RunIn(Folder, null, SphostProcess.Executable, "disk", "stats").Expect(0);
        sphost.Close();
        Assert.False(File.Exists(PathOf("vm.qcow2.control")));
        Tool.RunIn(Folder, null, SphostProcess.Executable, "disk", "list").ExpectError("SP4024");
    }

    [Fact]
    public void What_cannot_be_switched_goes_on_as_it_was()
    {
        // A pipeline whose journal has its file in a folder that is not there: it prepares, and cannot open.
        string config = PathOf("sphost.json");
        File.WriteAllText(config, """
            {
              "pipelines": { "nowhere": { "format": "qcow2", "journal": { "id": "pm", "path": "missing/vm.pmj", "emulated": true }, "ordering": "fdatasync", "medium": "file" } },
              "disks": { "vm": { "image": "vm.qcow2", "size": "64M" } }
            }
            """);
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", config);
        string control = PathOf("sphost.control");
        if (!File.Exists(control)) control = PathOf("vm.qcow2.control");
        Qemu.Io("raw", sphost.Uri("vm"), "write -P 5 0 1M", "flush");
        Tool.Sphost("disk", "switch", "vm", "-p", "nowhere", "--control", control).ExpectError("SP4021");
        Tool.Sphost("disk", "switch", "vm", "-p", "raw", "--control", control).ExpectError("SP4020");
        Tool.Sphost("disk", "switch", "other", "-p", "qcow2-ordered", "--control", control).ExpectError("SP4023");
        Tool.Sphost("disk", "switch", "vm", "-p", "qcow2-journel", "--control", control).Expect(1);
        Qemu.Io("raw", sphost.Uri("vm"), "read -P 5 0 1M", "write -P 6 1M 1M", "flush");
        Assert.Contains("qcow2-journal  serving", Tool.Sphost("disk", "list", "--control", control).Expect(0).Output, StringComparison.Ordinal);
        sphost.Close();
        Qemu.RequireClean(PathOf("vm.qcow2"));
    }

    [Fact]
    public void Snapshots_go_with_their_disk()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", PathOf("vm.qcow2"), "64M");
        Qemu.Io("qcow2", PathOf("vm.qcow2"), "write -P 1 0 1M");
        Qemu.Img("snapshot", "-c", "before", PathOf("vm.qcow2"));
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2");
        Qemu.Io("raw", sphost.Uri(""), "write -P 2 0 1M", "flush");
        Tool.Sphost("disk", "switch", "vm.qcow2", "-p", "qcow2-ordered", "--control", PathOf("vm.qcow2.control")).Expect(0);
        Tool.Succeed("qemu-io", "-r", "-f", "raw", "-c", "read -P 1 0 1M", sphost.Uri("@before"));
        Qemu.Io("raw", sphost.Uri(""), "read -P 2 0 1M");
        sphost.Close();
    }

    [Fact]
    public void Nonsense_on_the_control_socket_is_answered_and_disturbs_nobody()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "64M");
        foreach (string nonsense in new[] { "", "[]\n", "{\"command\": 7}\n", "{\"command\": \"format\"}\n", "\u0000\u0001\n" })
        {
            ToolResult reply = Tool.RunIn(Folder, nonsense, Tool.Python, "-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect('vm.qcow2.control'); s.sendall(sys.stdin.buffer.read()); s.shutdown(1); print(s.recv(65536).decode())").Expect(0);
            if (nonsense.Length > 0) Assert.Contains("SP4025", reply.Output, StringComparison.Ordinal);
        }

        Tool.Sphost("disk", "list", "--control", PathOf("vm.qcow2.control")).Expect(0);
        sphost.Close();
    }
}
