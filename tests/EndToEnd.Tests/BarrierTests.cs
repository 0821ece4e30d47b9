using System.Runtime.InteropServices;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The ordering <c>barrierfs</c> behind a qcow2 image, and the surface of the kernel that it was made for.</summary>
public sealed class BarrierTests : Scratch
{
    private readonly string _image;

    public BarrierTests()
    {
        _image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "1G");
    }

    [Fact]
    public void Concurrent_writers_over_deferred_epochs_and_a_small_queue_write_what_fio_verifies()
    {
        string[] job = ["--rw=randrw", "--bsrange=512-128k", "--size=8M", "--offset_increment=8M", "--numjobs=4", "--iodepth=4", "--fsync=8", "--verify=crc32c", "--randseed=7"];
        using (SphostProcess sphost = SphostProcess.Serve(Folder, _image, "--config", Config("\"mode\": \"deferred\", \"queue\": \"1M\""), "--pipeline", "barrier"))
        {
            Fio.Nbd(sphost.Uri(), [.. job, "--do_verify=1"]);
            Tool.Succeed("nbdcopy", sphost.Uri(), PathOf("seen.raw"));
            Assert.Contains("barrierfs orders by mode deferred: as configured", sphost.Errors, StringComparison.Ordinal);
            sphost.Close();
        }

        Qemu.RequireClean(_image);
        Qemu.RequireIdentical(_image, PathOf("seen.raw"));
    }

    [Fact]
    public void Kernel_mode_is_refused_here_and_neither_314_nor_315_nor_316_is_called()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64) return;
        string config = Config("\"mode\": \"kernel\", \"syscall\": 315");
        Tool.Sphost("serve", _image, "--config", config, "--pipeline", "barrier").ExpectError("SP5030");
        // On this kernel the three numbers are these calls.
        string trace = PathOf("trace");
        Tool.Run("strace", "-f", "-o", trace, "-e", "trace=sched_setattr,sched_getattr,renameat2", SphostProcess.Executable, "serve", _image, "--config", config, "--pipeline", "barrier").Expect(1);
        string[] lines = File.ReadAllLines(trace);
        Assert.Contains(lines, line => line.Contains("exited with 1", StringComparison.Ordinal));
        Assert.DoesNotContain(lines, line => line.Contains('(', StringComparison.Ordinal) && !line.Contains("+++", StringComparison.Ordinal) && !line.Contains("---", StringComparison.Ordinal));
    }

    [Fact]
    public void Numbers_that_are_never_called_are_refused_when_the_configuration_is_read()
        => Assert.Contains("SP2006", Tool.Sphost("pipelines", "validate", Config("\"syscall\": 316")).Expect(1).Errors, StringComparison.Ordinal);

    [Fact]
    public void Plugins_show_says_which_mode_this_machine_gets_and_why()
    {
        string text = Tool.Sphost("plugins", "show", "barrierfs").Expect(0).Output;
        Assert.Matches(@"(?m)^ +auto: +(deferred|write-through for images on such a device, else deferred)$", text);
        Assert.Matches(@"(?m)^ +kernel: +not possible: the kernel's release is \S+, not 3\.10\.x$", text);
        string json = Tool.Sphost("plugins", "show", "barrierfs", "--json").Expect(0).Output;
        System.Text.Json.Nodes.JsonNode strategy = System.Text.Json.Nodes.JsonNode.Parse(json)!["strategies"]![0]!;
        Assert.Equal(["auto", "kernel", "write-through", "deferred"], strategy["machine"]!.AsObject().Select(fact => fact.Key));
    }

    [Fact]
    public void System_calls_of_Linux_3_10_are_enough_to_serve_an_image()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64) return;
        using (SphostProcess sphost = SphostProcess.ServeOnLinux310(Folder, _image, "--pipeline", "qcow2-barrier"))
        {
            Qemu.Io("raw", sphost.Uri(), "write -P 7 0 1M", "flush", "write -z 64k 64k", "discard 256k 64k", "write -P 8 100M 64k", "flush", "read -P 7 0 64k", "read -P 0 64k 64k", "read -P 8 100M 64k");
            ToolResult second = Tool.Run(Tool.Python, Tool.Script("linux_3_10.py"), SphostProcess.Executable, "serve", _image, "--pipeline", "qcow2-barrier", "--socket", PathOf("second"));
            second.ExpectError("SP3020");
            sphost.Close();
        }

        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 7 0 64k", "read -P 0 64k 64k", "read -P 8 100M 64k");
    }

    private string Config(string options)
    {
        string path = PathOf("config.json");
        File.WriteAllText(path, $$"""{ "pipelines": { "barrier": { "format": "qcow2", "journal": "ordered", "ordering": { "id": "barrierfs", {{options}} } } } }""");
        return path;
    }
}
