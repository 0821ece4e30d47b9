using StoragePlugins.Client;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A device that takes writes and loses them: a loop device whose own file system is full.</summary>
public sealed class FailingDeviceTests : Scratch
{
    private const int RoomMebibytes = 8;
    private const int DeviceMebibytes = 64;
    private const int Block = 64 << 10;

    [MountTheory]
    [InlineData(Block)]
    [InlineData(4096)]
    public void What_the_device_lost_fails_the_flush_and_all_that_follow_and_nothing_flushed_is_lost(int bytes)
    {
        if (!SmallFileSystem.HasLoopDevices) return;
        string folder = PathOf("host"), backing = Path.Combine(folder, "device");
        using SmallFileSystem small = SmallFileSystem.Tmpfs(folder, RoomMebibytes);
        Tool.Succeed("truncate", "--size", $"{DeviceMebibytes}M", backing);
        string device = Tool.Succeed("losetup", "--find", "--show", backing).Trim();
        try
        {
            int flushed = 0;
            byte[] data = [.. Enumerable.Repeat((byte)2, bytes)];
            using (SphostProcess sphost = SphostProcess.Serve(Folder, device, "--pipeline", "raw", "--socket", PathOf("s.sock")))
            using (NbdDisk disk = NbdDisk.Connect(sphost.Uri()))
            {
                // The write is taken: what became of it the flush says.
                NbdException failure = Assert.Throws<NbdException>((Action)(() =>
                {
                    for (; ; flushed++)
                    {
                        disk.Write((long)flushed * bytes, data);
                        disk.Flush();
                    }
                }));
                Assert.Contains("flush", failure.Message, StringComparison.OrdinalIgnoreCase);
                Assert.InRange((long)flushed * bytes, RoomMebibytes << 19, RoomMebibytes << 20);
                for (int i = 0; i < 3; i++) Assert.Throws<NbdException>(() => disk.Flush());
                Assert.Throws<NbdException>(() => disk.Write(0, data));
                sphost.Terminate();
            }

            byte[] kept = new byte[(long)flushed * bytes];
            using (FileStream stream = File.OpenRead(device)) stream.ReadExactly(kept);
            Assert.Equal(-1, kept.AsSpan().IndexOfAnyExcept((byte)2));
        }
        finally
        {
            Tool.Run("losetup", "--detach", device);
        }
    }
}
