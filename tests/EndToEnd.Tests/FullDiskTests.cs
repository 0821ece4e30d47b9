namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The host's file system fills up while a guest writes.</summary>
public sealed class FullDiskTests : Scratch
{
    // The journal keeps 16 of it.
    private const int HostMebibytes = 72;
    private const int BallastMebibytes = 16;

    /// <summary>Hosts on which it can be tried here.</summary>
    public static TheoryData<string> Hosts => SmallFileSystem.HasLoopDevices ? ["tmpfs", "ext4"] : ["tmpfs"];

    [MountTheory]
    [MemberData(nameof(Hosts))]
    public void The_guest_sees_ENOSPC_and_nothing_flushed_is_lost_and_freed_space_is_used(string host)
    {
        string folder = PathOf("host"), image = Path.Combine(folder, "disk.qcow2"), ballast = Path.Combine(folder, "ballast");
        using SmallFileSystem small = host == "ext4"
            ? SmallFileSystem.Ext4(folder, PathOf("ext4.img"), HostMebibytes)
            : SmallFileSystem.Tmpfs(folder, HostMebibytes);
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        File.WriteAllBytes(ballast, new byte[BallastMebibytes << 20]);
        int written;
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image, "--socket", PathOf("s.sock")))
        {
            Qemu.Io("raw", sphost.Uri(), "write -P 1 0 4M", "flush");
            written = FillUp(sphost.Uri(), firstMebibyte: 4);
            Assert.InRange(written, 8, HostMebibytes - BallastMebibytes);
            Qemu.Io("raw", sphost.Uri(), "read -P 1 0 4M", $"read -P 2 4M {written - 4}M", "write -P 3 1M 1M", "flush");

            File.Delete(ballast);
            Qemu.Io("raw", sphost.Uri(), "write -P 4 600M 6M", "flush", "read -P 4 600M 6M");
            sphost.Close();
        }

        Assert.NotEqual(2, Qemu.Check(image));
        Qemu.Io("qcow2", image, "read -P 1 0 1M", "read -P 3 1M 1M", "read -P 1 2M 2M", $"read -P 2 4M {written - 4}M", "read -P 4 600M 6M");
    }

    [MountTheory]
    [MemberData(nameof(Hosts))]
    public void An_image_closed_on_a_full_disk_is_sound(string host)
    {
        string folder = PathOf("host"), image = Path.Combine(folder, "disk.qcow2");
        using SmallFileSystem small = host == "ext4"
            ? SmallFileSystem.Ext4(folder, PathOf("ext4.img"), HostMebibytes)
            : SmallFileSystem.Tmpfs(folder, HostMebibytes);
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image, "1G");
        int written;
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image, "--socket", PathOf("s.sock")))
        {
            written = FillUp(sphost.Uri(), firstMebibyte: 0);
            sphost.Terminate(); // what was not flushed may be lost, which is said: the exit code is not what is judged here
        }

        Assert.NotEqual(2, Qemu.Check(image));
        Qemu.Io("qcow2", image, $"read -P 2 0 {written}M");
    }

    /// <summary>Writes MiB after MiB, each flushed, until the server answers ENOSPC.</summary>
    /// <returns>The first MiB that was not written.</returns>
    private static int FillUp(string uri, int firstMebibyte)
    {
        for (int at = firstMebibyte; at < firstMebibyte + HostMebibytes; at++)
        {
            ToolResult result = Tool.Run("qemu-io", "-f", "raw", "-c", $"write -P 2 {at}M 1M", "-c", "flush", uri);
            if (result.ExitCode == 0 && !result.Text.Contains("failed", StringComparison.Ordinal)) continue;
            Assert.Contains("No space left on device", result.Text, StringComparison.Ordinal);
            return at;
        }

        throw new InvalidOperationException("the file system did not fill up");
    }
}
