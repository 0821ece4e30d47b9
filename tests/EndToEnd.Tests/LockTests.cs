using System.Diagnostics;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>An image has one writer, whoever it is: QEMU's programs and sphost see each other's locks.</summary>
public sealed class LockTests : Scratch
{
    private readonly string _image;

    public LockTests()
    {
        _image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "64M");
    }

    [Fact]
    public void QEMU_does_not_write_an_image_that_is_served()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, _image);
        foreach (ToolResult refused in (ToolResult[])[
            Tool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", _image),
            Tool.Run("qemu-img", "resize", _image, "128M"),
            Tool.Run("qemu-img", "snapshot", "-c", "s", _image),
            Tool.Run("qemu-img", "check", "-r", "all", _image),
            Tool.Run("qemu-img", "commit", _image),
            Tool.Run("qemu-nbd", "-f", "qcow2", "-k", PathOf("refused.sock"), _image)])
        {
            refused.Expect(1);
            Assert.Contains("lock", refused.Text, StringComparison.Ordinal);
        }

        sphost.Close();
    }

    [Fact]
    public void Other_raw_writers_of_QEMU_are_kept_out_of_a_served_raw_image()
    {
        string raw = PathOf("disk.raw");
        Qemu.Img("create", "-q", "-f", "raw", raw, "8M");
        using SphostProcess sphost = SphostProcess.Serve(Folder, raw);
        ToolResult refused = Tool.Run("qemu-io", "-f", "raw", "-c", "write 0 64k", raw).Expect(1);
        Assert.Contains("lock", refused.Text, StringComparison.Ordinal);
        sphost.Close();
    }

    [Fact]
    public void A_second_sphost_does_not_get_the_image()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, _image);
        Tool.Sphost("serve", _image, "--socket", PathOf("second.sock")).ExpectError("SP3020");
        Assert.False(File.Exists(PathOf("second.sock")));
        sphost.Close();
    }

    [Fact]
    public void An_image_that_qemu_nbd_holds_is_not_opened_for_writing()
    {
        using QemuNbd qemu = QemuNbd.Serve(Folder, _image);
        RequireRefused();
    }

    [Fact]
    public void An_image_that_a_storage_daemon_holds_is_not_opened_for_writing()
    {
        string socket = PathOf("qsd.sock");
        using Process daemon = Process.Start("qemu-storage-daemon", [
            "--blockdev", $"driver=file,node-name=f,filename={_image}", "--blockdev", "driver=qcow2,node-name=q,file=f",
            "--nbd-server", $"addr.type=unix,addr.path={socket}", "--export", "type=nbd,id=e,node-name=q,name=q,writable=on"]);
        try
        {
            Eventually(() => Tool.Run("nbdinfo", $"nbd+unix:///q?socket={socket}").ExitCode == 0);
            RequireRefused();
        }
        finally
        {
            daemon.Kill();
            daemon.WaitForExit();
        }
    }

    [Fact]
    public void An_image_that_qemu_io_writes_is_not_opened_for_writing()
    {
        using Process qemu = Process.Start(new ProcessStartInfo("qemu-io", ["-f", "qcow2", _image]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        try
        {
            // It answers once it has the image. Whoever looks by opening the image may get in its way.
            qemu.StandardInput.WriteLine("read 0 64k");
            Assert.Contains("read 65536/65536", qemu.StandardOutput.ReadLine(), StringComparison.Ordinal);
            RequireRefused();
        }
        finally
        {
            qemu.Kill();
            qemu.WaitForExit();
        }
    }

    [Fact]
    public void Readers_stand_beside_readers()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, _image, "--read-only");
        Qemu.Img("check", _image);
        Tool.Succeed("qemu-io", "-r", "-f", "qcow2", "-c", "read 0 64k", _image);
        using (SphostProcess second = SphostProcess.Serve(Folder, _image, "--read-only", "--socket", PathOf("second.sock")))
        {
            Tool.Succeed("nbdinfo", second.Uri());
            second.Close();
        }

        Assert.NotEqual(0, Tool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", _image).ExitCode);
        sphost.Close();
        Qemu.Io("qcow2", _image, "write 0 64k");
    }

    [Fact]
    public void A_backing_file_is_kept_from_writers_while_it_is_read()
    {
        string top = PathOf("top.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-b", _image, "-F", "qcow2", top);
        using SphostProcess sphost = SphostProcess.Serve(Folder, top);
        Assert.NotEqual(0, Tool.Run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", _image).ExitCode);
        Tool.Succeed("qemu-io", "-r", "-f", "qcow2", "-c", "read 0 64k", _image);
        sphost.Close();
    }

    private void RequireRefused()
    {
        string hash = Bytes.Hash(_image);
        Tool.Sphost("serve", _image, "--socket", PathOf("refused.sock")).ExpectError("SP3020");
        Tool.Sphost("image", "check", "--repair", "all", _image).ExpectError("SP3020");
        Tool.Sphost("image", "recover", _image).ExpectError("SP3020");
        Assert.Equal(hash, Bytes.Hash(_image));
    }

    private static void Eventually(Func<bool> condition)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "it did not happen in 30 s");
            Thread.Sleep(20);
        }
    }
}
