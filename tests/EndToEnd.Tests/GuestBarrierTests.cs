using System.Diagnostics;
using System.Text.Json.Nodes;
using StoragePlugins.Client;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Guest barriers from end to end: the test client over NBD, and the ioctl on a mounted disk.</summary>
public sealed class GuestBarrierTests : Scratch
{
    public override void Dispose()
    {
        FuseMounts.DetachBelow(Folder);
        base.Dispose();
    }

    [Theory]
    [InlineData("qcow2-journal", 16)]
    [InlineData("qcow2-pm", 40)]
    public void Appends_with_barriers_cost_no_flush_each_where_commits_are_atomic(string pipeline, int mostHostFlushes)
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "256M", "-p", pipeline);
        JsonNode result = Test(sphost.Uri(), "--sync", "barrier", "--flush-every", "64", "-n", "192");
        Assert.Equal((192, 192, 3), ((int)result["figures"]!["operation"]!["count"]!, (int)result["figures"]!["sync"]!["count"]!, (int)result["figures"]!["flush"]!["count"]!));
        Assert.True((bool)result["server"]!["supportsBarriers"]!);
        JsonNode stats = JsonNode.Parse(Tool.Sphost("disk", "stats", "--control", PathOf("vm.qcow2.control"), "--json").Expect(0).Output)![0]!;
        Assert.Equal((192, 3), ((int)stats["guestBarriers"]!, (int)stats["guestFlushes"]!));
        Assert.InRange((int)stats["hostFlushes"]!, 1, mostHostFlushes);
        Assert.Contains("GUEST BARRIERS", Tool.Sphost("disk", "stats", "--control", PathOf("vm.qcow2.control")).Expect(0).Output, StringComparison.Ordinal);
        Tool.Sphost("nbd-test", sphost.Uri(), "--check").Expect(0);
        sphost.Close();
        Assert.Contains("3 guest flushes and 192 guest barriers →", sphost.Output, StringComparison.Ordinal);
        Qemu.RequireClean(PathOf("vm.qcow2"));
    }

    [Theory]
    [InlineData("append", "flush")]
    [InlineData("overwrite", "barrier")]
    [InlineData("random", "fua")]
    [InlineData("random", "none")]
    public void Every_workload_and_kind_of_sync_is_written_and_read_back(string workload, string sync)
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "64M", "-p", "qcow2-barrier");
        ToolResult text = Tool.Sphost("nbd-test", sphost.Uri(), "-w", workload, "-s", sync, "-n", "50", "-b", "16K").Expect(0);
        Assert.Contains("guest barriers:  yes", text.Output, StringComparison.Ordinal);
        Assert.Contains("read back and right", text.Output, StringComparison.Ordinal);
        Assert.Contains("order kept: ", Tool.Sphost("nbd-test", sphost.Uri(), "--check").Expect(0).Output, StringComparison.Ordinal);
        // What a test wrote another one may write over.
        Test(sphost.Uri(), "-n", "10", "-b", "4K");
        sphost.Close();
    }

    [Theory]
    [InlineData("qcow2-journal", "append")]
    [InlineData("qcow2-journal", "random")]
    [InlineData("qcow2-pm", "overwrite")]
    [InlineData("qcow2-barrier", "append")]
    public void A_server_that_is_killed_leaves_the_guests_order(string pipeline, string workload)
    {
        using (SphostProcess sphost = SphostProcess.Serve(Folder, "vm.qcow2", "--size", "512M", "-p", pipeline))
        {
            using Process guest = Process.Start(new ProcessStartInfo(SphostProcess.Executable, ["nbd-test", sphost.Uri(), "-s", "barrier", "--flush-every", "32", "-w", workload, "-n", "4000"])
            {
                RedirectStandardError = true, RedirectStandardOutput = true,
            })!;
            Assert.True(SpinWait.SpinUntil(() => Barriers() > 300, TimeSpan.FromSeconds(60)), "the guest orders");
            sphost.Kill();
            string error = guest.StandardError.ReadToEnd();
            Assert.True(guest.WaitForExit(TimeSpan.FromSeconds(60)));
            Assert.Contains("SP4232", error, StringComparison.Ordinal);
        }

        using SphostProcess again = SphostProcess.Serve(Folder, "vm.qcow2", "-p", pipeline);
        JsonNode verdict = JsonNode.Parse(Tool.Sphost("nbd-test", again.Uri(), "--check", "--json").Expect(0).Output)!;
        Assert.True((bool)verdict["orderKept"]!);
        // What was flushed is there: all but the writes since the last flush.
        Assert.True((int)verdict["completeWrites"]! >= 300 - 32, verdict.ToJsonString());
        again.Close();

        int Barriers() => (int)JsonNode.Parse(Tool.Sphost("disk", "stats", "--control", PathOf("vm.qcow2.control"), "--json").Expect(0).Output)![0]!["guestBarriers"]!;
    }

    [Fact]
    public void A_broken_order_is_seen()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "disk.raw", "--size", "8M", "-p", "raw");
        Test(sphost.Uri(), "-s", "barrier", "-n", "20", "-b", "4K");
        using (NbdDisk disk = NbdDisk.Connect(sphost.Uri())) disk.Write((11 * 4096) + 512, new byte[512]);
        ToolResult broken = Tool.Sphost("nbd-test", sphost.Uri(), "--check").ExpectError("SP4234");
        Assert.Contains("write 12 (byte 45056, epoch 11) is missing, though write 20 of epoch 19 is there", broken.Errors, StringComparison.Ordinal);
        sphost.Close();
    }

    [Fact]
    public void Whatever_the_test_cannot_do_is_one_line_with_its_reason()
    {
        Qemu.Img("create", "-q", "-f", "raw", PathOf("other.raw"), "8M");
        using (QemuNbd qemu = QemuNbd.Serve(Folder, PathOf("other.raw")))
        {
            ToolResult unknown = Tool.Sphost("nbd-test", qemu.Uri, "-s", "barrier", "-n", "10").ExpectError("SP4230");
            Assert.Contains("the server does not know guest barriers", unknown.Errors, StringComparison.Ordinal);
            Test(qemu.Uri, "-s", "flush", "-n", "10");
        }

        Tool.Sphost("nbd-test", "http://host/").ExpectError("SP4231");
        Tool.Sphost("nbd-test", $"nbd+unix:///?socket={Folder}/none").ExpectError("SP4232");
        using SphostProcess sphost = SphostProcess.Serve(Folder, "disk.raw", "--size", "8M", "-p", "raw");
        Tool.Sphost("nbd-test", sphost.Uri(), "--check").ExpectError("SP4235");
        Tool.Sphost("nbd-test", sphost.Uri(), "-n", "0").ExpectError("SP4236");
        Tool.Sphost("nbd-test", sphost.Uri(), "-b", "700").ExpectError("SP4236");
        Tool.Sphost("nbd-test", sphost.Uri(), "-n", "200").ExpectError("SP4236");
        using (NbdDisk disk = NbdDisk.Connect(sphost.Uri())) disk.Write(70_000, "somebody's"u8);
        Tool.Sphost("nbd-test", sphost.Uri(), "-n", "10").ExpectError("SP4233");
        Test(sphost.Uri(), "-n", "10", "--overwrite");
        sphost.Close();
    }

    [FuseTheory]
    [InlineData("qcow2-journal", "auto")]
    [InlineData("qcow2-journal", "off")]
    [InlineData("raw", "auto")]
    public void The_ioctl_orders_what_waits_in_the_page_cache_and_flushes_nothing(string pipeline, string writeback)
    {
        Directory.CreateDirectory(PathOf("m"));
        string image = PathOf(pipeline == "raw" ? "disk.raw" : "disk.qcow2");
        Qemu.Img("create", "-q", "-f", Qemu.FormatOf(image), image, "64M");
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m", "-p", pipeline, "--writeback-cache", writeback);
        using (var file = new FileStream(PathOf("m/disk"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0))
        {
            byte[] block = new byte[64 << 10];
            for (int i = 0; i < 32; i++)
            {
                block.AsSpan().Fill((byte)(i + 1));
                RandomAccess.Write(file.SafeFileHandle, block, i * 65536L);
                DiskFileBarrier.Barrier(file.SafeFileHandle);
            }
        }

        string bare = Python("""
            import os, fcntl, struct, errno
            f = os.open('m/disk', os.O_RDWR)
            def ask(number, flags):
                try: fcntl.ioctl(f, number, struct.pack('I', flags)); return 'done'
                except OSError as e: return errno.errorcode[e.errno]
            os.pwrite(f, b'x', 0)
            print(ask(0x4004DC42, 0), ask(0x4004DC42, 1), ask(0x4004DC42, 2), ask(0x4004DC43, 0))
            """);
        Assert.Equal($"{(writeback == "off" ? "done" : "EBUSY")} done EINVAL ENOTTY", bare.Trim());
        // Everything went through the page cache, in order, and none of it was flushed by the barriers: the guest never asked for that.
        sphost.Close();
        int barriers = 33 + (writeback == "off" ? 1 : 0);
        Assert.Matches($"[0-9,]+ requests; [01] guest flushes and {barriers} guest barriers →", sphost.Output);
    }

    [FuseFact]
    public void Where_no_barrier_passes_the_ioctl_says_so()
    {
        Directory.CreateDirectory(PathOf("m"));
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        Qemu.Img("snapshot", "-c", "s", image);
        using (SphostProcess sphost = SphostProcess.Mount(Folder, image, "m"))
        {
            using (FileStream snapshot = File.OpenRead(PathOf("m/snapshots/s"))) Assert.Throws<NotSupportedException>(() => DiskFileBarrier.Barrier(snapshot.SafeFileHandle));
            string loop = Tool.Succeed("losetup", "--find", "--show", PathOf("m/disk")).Trim();
            try
            {
                using FileStream device = File.OpenWrite(loop);
                Assert.Throws<NotSupportedException>(() => DiskFileBarrier.Barrier(device.SafeFileHandle));
            }
            finally
            {
                Tool.Succeed("losetup", "--detach", loop);
            }

            sphost.Close();
        }

        using (SphostProcess readOnly = SphostProcess.Mount(Folder, image, "m", "--read-only"))
        {
            using (FileStream disk = File.OpenRead(PathOf("m/disk"))) Assert.Throws<NotSupportedException>(() => DiskFileBarrier.Barrier(disk.SafeFileHandle));
            readOnly.Close();
        }

        using FileStream plain = File.Create(PathOf("plain"));
        Assert.Throws<NotSupportedException>(() => DiskFileBarrier.Barrier(plain.SafeFileHandle));
    }

    [FuseFact]
    public void A_file_of_a_tree_that_is_durable_on_return_is_ordered_at_no_cost()
    {
        Directory.CreateDirectory(PathOf("m"));
        Tool.RunIn(Folder, null, SphostProcess.Executable, "image", "create", "-f", "pmfs", "t.pmfs", "64M").Expect(0);
        using SphostProcess sphost = SphostProcess.Mount(Folder, "t.pmfs", "m");
        using (FileStream file = File.Create(PathOf("m/f"), 0))
        {
            RandomAccess.Write(file.SafeFileHandle, "one"u8, 0);
            DiskFileBarrier.Barrier(file.SafeFileHandle);
            RandomAccess.Write(file.SafeFileHandle, "two"u8, 3);
            DiskFileBarrier.Barrier(file.SafeFileHandle);
        }

        sphost.Close();
        Assert.Contains("0 guest flushes and 2 guest barriers →", sphost.Output, StringComparison.Ordinal);
    }

    private static JsonNode Test(string uri, params string[] arguments) => JsonNode.Parse(Tool.Sphost(["nbd-test", uri, "--json", .. arguments]).Expect(0).Output)!;

    private string Python(string code) => Tool.RunIn(Folder, null, Tool.Python, "-c", code).Expect(0).Output;
}
