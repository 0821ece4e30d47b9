using System.Diagnostics;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Starting, ending and sharing: what a user of <c>sphost serve</c> meets.</summary>
public sealed class ServingTests : Scratch
{
    [Fact]
    public void Without_arguments_a_disk_of_10_GiB_is_made_and_served()
    {
        using (SphostProcess sphost = SphostProcess.Serve(Folder))
        {
            Assert.Contains("export-size: 10737418240 ", Tool.Succeed("nbdinfo", sphost.Uri()), StringComparison.Ordinal);
            Assert.Contains($"nbdinfo '{sphost.Uri()}'", sphost.Output, StringComparison.Ordinal);
            Qemu.Io("raw", sphost.Uri(), "write -P 9 5G 1M");
            sphost.Close();
        }

        Qemu.RequireClean(PathOf("disk.qcow2"));
        using SphostProcess again = SphostProcess.Serve(Folder);
        Qemu.Io("raw", again.Uri(), "read -P 9 5G 1M", "read -P 0 0 1M");
        Assert.DoesNotContain("made", again.Errors, StringComparison.Ordinal);
        again.Close();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_signal_during_load_closes_cleanly(bool isTerminate)
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        using SphostProcess sphost = SphostProcess.Serve(Folder, image);
        string socket = sphost.Uri()[(sphost.Uri().IndexOf('=', StringComparison.Ordinal) + 1)..];
        using Process fio = Process.Start(new ProcessStartInfo("fio", [
            "--name=load", "--ioengine=nbd", $"--uri={sphost.Uri()}", "--rw=randwrite", "--bs=64k", "--size=1G", "--iodepth=16", "--fsync=50", "--time_based", "--runtime=60"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Folder,
        })!;
        try
        {
            WaitForGrowth(image);
            Assert.False(fio.HasExited);
            int exitCode = isTerminate ? sphost.Terminate() : sphost.Interrupt();
            Assert.True(exitCode == 0, $"exit {exitCode}\n{sphost.Output}{sphost.Errors}");
        }
        finally
        {
            fio.Kill();
            fio.WaitForExit();
        }

        Assert.Contains("closed cleanly", sphost.Output.Split('\n'));
        Assert.False(File.Exists(socket));
        Qemu.RequireClean(image);
    }

    /// <summary>coreutils' timeout sends SIGTERM to its child and then to the child's process group: twice within a moment.</summary>
    [Fact]
    public void A_signal_that_arrives_twice_at_once_closes_cleanly_too()
    {
        ToolResult result = Tool.RunIn(Folder, null, "timeout", "3", SphostProcess.Executable, "serve").Expect(124); // timeout's own code
        Assert.Contains("closed cleanly", result.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(PathOf("disk.qcow2.sock")));
    }

    [Fact]
    public void A_socket_that_another_sphost_serves_is_refused_and_a_stale_one_is_not()
    {
        string socket = PathOf("one.sock");
        Qemu.Img("create", "-q", "-f", "qcow2", PathOf("second.qcow2"), "1M");
        using (SphostProcess first = SphostProcess.Serve(Folder, "--socket", socket))
        {
            Tool.Sphost("serve", PathOf("second.qcow2"), "--socket", socket).ExpectError("SP4001");
            Tool.Succeed("nbdinfo", first.Uri());
            first.Kill();
        }

        Assert.True(File.Exists(socket));
        using SphostProcess second = SphostProcess.Serve(Folder, PathOf("second.qcow2"), "--socket", socket);
        Tool.Succeed("nbdinfo", second.Uri());
        second.Close();
    }

    [Fact]
    public void A_missing_image_is_made_only_when_a_size_is_given()
    {
        string image = PathOf("new.qcow2");
        Tool.Sphost("serve", image).ExpectError("SP5001");
        Assert.False(File.Exists(image));
        using SphostProcess sphost = SphostProcess.Serve(Folder, image, "--size", "3G");
        Assert.Contains("export-size: 3221225472 ", Tool.Succeed("nbdinfo", sphost.Uri()), StringComparison.Ordinal);
        sphost.Close();
    }

    [Fact]
    public void Over_TCP_it_serves_loopback()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--listen", "127.0.0.1:0");
        Assert.StartsWith("nbd://127.0.0.1:", sphost.Uri(), StringComparison.Ordinal);
        Qemu.Io("raw", sphost.Uri(), "write -P 3 0 64k", "read -P 3 0 64k");
        sphost.Close();
    }

    [Fact]
    public void The_socket_is_its_owners_alone()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(PathOf("disk.qcow2.sock")));
        sphost.Close();
    }

    private static void WaitForGrowth(string image)
    {
        var watch = Stopwatch.StartNew();
        while (new FileInfo(image).Length < 8 << 20)
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "nothing was written in 30 s");
            Thread.Sleep(10);
        }
    }
}
