namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Disks as mounted files, used by real programs.</summary>
public sealed class MountTests : Scratch
{
    private const string Disk = "m/disk";

    public MountTests() => Directory.CreateDirectory(PathOf("m"));

    public override void Dispose()
    {
        FuseMounts.DetachBelow(Folder);
        base.Dispose();
    }

    [FuseTheory]
    [InlineData("qcow2-ordered", "auto")]
    [InlineData("qcow2-journal", "auto")]
    [InlineData("qcow2-journal", "off")]
    [InlineData("qcow2-pm", "auto")]
    [InlineData("raw", "auto")]
    public void A_file_system_on_the_mounted_disk_holds_what_fio_verifies(string pipeline, string writeback)
    {
        string image = PathOf(pipeline == "raw" ? "disk.raw" : "disk.qcow2");
        Qemu.Img("create", "-q", "-f", Qemu.FormatOf(image), image, "256M");
        using (SphostProcess sphost = SphostProcess.Mount(Folder, image, "m", "--pipeline", pipeline, "--writeback-cache", writeback))
        {
            Tool.Succeed("mkfs.ext4", "-q", "-F", PathOf(Disk));
            Directory.CreateDirectory(PathOf("fs"));
            Tool.Succeed("mount", "-o", "loop", PathOf(Disk), PathOf("fs"));
            try
            {
                Fio.File(PathOf("fs/f"), "--rw=randwrite", "--bsrange=512-128k", "--size=48m", "--fsync=64", "--verify=crc32c");
                File.WriteAllText(PathOf("fs/note"), "on ext4 on a loop device on a file on FUSE on a disk image");
            }
            finally
            {
                Tool.Succeed("umount", PathOf("fs"));
            }

            Tool.Run("e2fsck", "-fn", PathOf(Disk)).Expect(0);
            Qemu.Img("convert", "-f", "raw", "-O", "raw", PathOf(Disk), PathOf("seen.raw"));
            sphost.Close();
            Assert.Contains("guest flushes →", sphost.Output, StringComparison.Ordinal);
        }

        Assert.False(FuseMounts.IsMounted(PathOf("m")));
        Qemu.RequireClean(image);
        Qemu.RequireIdentical(image, PathOf("seen.raw"));
    }

    [FuseFact]
    public void Snapshots_are_files_beside_the_disk_that_nobody_can_write()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        Qemu.Io("qcow2", image, "write -P 1 0 1M");
        Qemu.Img("snapshot", "-c", "before/now", image);
        Qemu.Io("qcow2", image, "write -P 2 512k 1M");
        Qemu.Img("convert", "-l", "before/now", "-O", "raw", image, PathOf("before.raw"));
        Qemu.Img("convert", "-O", "raw", image, PathOf("now.raw"));
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m");
        Assert.Equal(["disk", "snapshots"], Directory.EnumerateFileSystemEntries(PathOf("m")).Select(Path.GetFileName).Order());
        Assert.Equal(["before%2Fnow"], Directory.EnumerateFiles(PathOf("m/snapshots")).Select(Path.GetFileName));
        Bytes.RequireEqual(PathOf("before.raw"), PathOf("m/snapshots/before%2Fnow"));
        Bytes.RequireEqual(PathOf("now.raw"), PathOf(Disk));
        Assert.NotEqual(0, Tool.Run("dd", "if=/dev/zero", "of=" + PathOf("m/snapshots/before%2Fnow"), "bs=512", "count=1", "conv=notrunc").ExitCode);
        Assert.NotEqual(0, Tool.Run("touch", PathOf("m/new")).ExitCode);
        Assert.NotEqual(0, Tool.Run("rm", "-f", PathOf(Disk)).ExitCode);
        sphost.Close();
        Qemu.RequireClean(image);
    }

    [FuseFact]
    public void The_disk_has_holes_an_end_and_a_size_that_its_format_allows()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "64M");
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m", "--writeback-cache", "off");
        Python("""
            f = os.open('m/disk', os.O_RDWR)
            os.pwrite(f, b'x' * (4 << 20), 16 << 20)
            assert os.lseek(f, 0, os.SEEK_DATA) == 16 << 20 and os.lseek(f, 16 << 20, os.SEEK_HOLE) == 20 << 20
            fallocate(f, 3, 17 << 20, 1 << 20)
            assert os.lseek(f, 16 << 20, os.SEEK_HOLE) == 17 << 20 and os.pread(f, 10, 17 << 20) == bytes(10)
            fallocate(f, 0x11, (18 << 20) + 100, 1000); assert os.pread(f, 1002, (18 << 20) + 99) == b'x' + bytes(1000) + b'x'
            fails(errno.EOPNOTSUPP, fallocate, f, 0, 0, 4096)
            fails(errno.ENOSPC, os.pwrite, f, b'1', 64 << 20)
            assert os.pread(f, 10, 64 << 20) == b'' and os.fstat(f).st_size == 64 << 20
            assert os.fstat(f).st_blocks * 512 < 32 << 20
            os.ftruncate(f, 65 << 20); os.pwrite(f, b'1', (65 << 20) - 1); os.fsync(f)
            fails(errno.EINVAL, os.ftruncate, f, 1000); assert os.fstat(f).st_size == 65 << 20
            """);
        sphost.Close();
        Qemu.RequireClean(image);
        Assert.Contains("\"virtual-size\": 68157440", Qemu.Img("info", "--output=json", image), StringComparison.Ordinal);
    }

    [FuseFact]
    public void Read_only_is_read_only()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        string before = Bytes.Hash(image);
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m", "--read-only");
        Assert.NotEqual(0, Tool.Run("dd", "if=/dev/zero", "of=" + PathOf(Disk), "bs=512", "count=1", "conv=notrunc").ExitCode);
        Python("f = os.open('m/disk', os.O_RDONLY); fails(errno.ENXIO, os.lseek, f, 0, os.SEEK_DATA); assert len(os.read(f, 1 << 25)) == 16 << 20");
        sphost.Close();
        Assert.Equal(before, Bytes.Hash(image));
    }

    [FuseTheory]
    [InlineData("umount")]
    [InlineData("fusermount3")]
    public void An_unmount_ends_the_host_and_closes_the_image(string program)
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m");
        Tool.Succeed("dd", "if=/dev/urandom", "of=" + PathOf(Disk), "bs=64k", "count=20", "conv=notrunc");
        string hash = Bytes.Hash(PathOf(Disk));
        Tool.Succeed(program, program == "umount" ? [PathOf("m")] : ["-u", PathOf("m")]);
        Assert.Equal(0, sphost.WaitForEnd());
        Assert.Contains("closed cleanly", sphost.Output, StringComparison.Ordinal);
        Qemu.RequireClean(image);
        Qemu.Img("convert", "-O", "raw", image, PathOf("after.raw"));
        Assert.Equal(hash, Bytes.Hash(PathOf("after.raw")));
    }

    [FuseFact]
    public void A_host_that_is_stopped_while_files_are_open_keeps_what_was_written_and_detaches()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m");
        Python($"""
            import signal, time
            f = os.open('m/disk', os.O_RDWR)
            os.pwrite(f, b'\x07' * (1 << 20), 0)
            os.kill({sphost.Id}, signal.SIGTERM)
            while os.path.exists('m/disk'): time.sleep(0.01)
            os.pwrite(f, b'x' * 4096, 4096)
            # What waits for an answer when the connection ends is told so by the kernel.
            gone = (errno.ENOTCONN, errno.ECONNABORTED)
            fails(gone, os.fsync, f)
            fails(gone, os.pread, f, 4096, 8 << 20)
            """);
        Assert.Equal(0, sphost.WaitForEnd());
        Assert.Contains("SP4037", sphost.Errors, StringComparison.Ordinal);
        Assert.False(FuseMounts.IsMounted(PathOf("m")));
        Qemu.RequireClean(image);
        Qemu.Io("qcow2", image, "read -P 7 0 1M");
    }

    [FuseFact]
    public void After_kill_9_what_was_synced_is_there_and_the_dead_mount_is_taken_over()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "64M");
        for (int round = 1; round <= 3; round++)
        {
            using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m");
            if (round > 1)
            {
                Assert.Contains("took away what a host that was killed had left mounted", sphost.Errors, StringComparison.Ordinal);
                Python($"f = os.open('m/disk', os.O_RDONLY)\nfor i in range({(round - 1) * 100}): assert os.pread(f, 5000, i * 70000) == bytes([i % 251]) * 5000, i");
            }

            Python($"f = os.open('m/disk', os.O_RDWR)\nfor i in range({(round - 1) * 100}, {round * 100}):\n    os.pwrite(f, bytes([i % 251]) * 5000, i * 70000)\n    os.fsync(f)\nos.pwrite(f, b'not synced', 32 << 20)");
            sphost.Kill();
            Assert.Equal("Transport endpoint is not connected", Tool.Run("ls", PathOf("m")).Errors.Split(": ")[^1].Trim());
        }

        using SphostProcess last = SphostProcess.Mount(Folder, image, "m");
        last.Close();
        Qemu.RequireClean(image);
    }

    [FuseFact]
    public void A_mountpoint_that_cannot_be_is_a_diagnostic()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "16M");
        Tool.Sphost("mount", image, PathOf("none")).ExpectError("SP4030");
        Tool.Sphost("mount", image, image).ExpectError("SP4031");
        Directory.CreateDirectory(PathOf("full/in"));
        Tool.Sphost("mount", image, PathOf("full")).ExpectError("SP4032");
        Tool.Sphost("mount", image, PathOf("m"), "-o", "nonsense").ExpectError("SP4035");
        using SphostProcess sphost = SphostProcess.Mount(Folder, image, "m");
        Tool.Sphost("mount", image, PathOf("m")).ExpectError("SP4033");
        Tool.Sphost("serve", image, "--socket", PathOf("s")).ExpectError("SP3020");
        sphost.Close();
        using SphostProcess over = SphostProcess.Mount(Folder, image, "full", "-o", "nonempty,fsname=over");
        Assert.Contains(" - fuse.sphost over ", File.ReadAllText("/proc/self/mountinfo"), StringComparison.Ordinal);
        Assert.Equal(0, over.Interrupt());
        Assert.True(Directory.Exists(PathOf("full/in")));
    }

    [FuseFact]
    public void An_ordinary_user_mounts_through_fusermount3()
    {
        const string User = "nobody";
        if (Tool.Run("runuser", "-u", User, "--", "test", "-x", SphostProcess.Executable).ExitCode != 0) return; // the build is out of its reach
        Tool.Succeed("chmod", "755", Folder);
        File.WriteAllBytes(PathOf("disk.raw"), new byte[1 << 20]);
        Tool.Succeed("chown", User, PathOf("m"), PathOf("disk.raw"));
        using SphostProcess sphost = SphostProcess.MountAs(User, Folder, "disk.raw", "m", "--pipeline", "raw");
        // Seen from where it was mounted: a name space of its own.
        ToolResult In(params string[] command) => Tool.Run("nsenter", ["-t", $"{sphost.Id}", "-m", "--", "runuser", "-u", User, "--", .. command]).Expect(0);
        Assert.Contains("fuse.sphost", In("cat", "/proc/self/mountinfo").Output, StringComparison.Ordinal);
        In("dd", "if=/dev/urandom", "of=" + PathOf(Disk), "bs=64k", "count=16", "conv=notrunc,fsync");
        string hash = In("sha256sum", PathOf(Disk)).Output.Split(' ')[0];
        In("fusermount3", "-u", PathOf("m"));
        Assert.Equal(0, sphost.WaitForEnd());
        Assert.Equal(hash.ToUpperInvariant(), Bytes.Hash(PathOf("disk.raw")));
    }

    private void Python(string code) => Tool.RunIn(Folder, Preamble + code, Tool.Python).Expect(0);

    private const string Preamble = """
        import os, errno, ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def fails(expected, call, *arguments):
            numbers = expected if isinstance(expected, tuple) else (expected,)
            names = ' or '.join(errno.errorcode[n] for n in numbers)
            try: call(*arguments)
            except OSError as e:
                assert e.errno in numbers, (errno.errorcode.get(e.errno), names)
                return
            raise AssertionError('it succeeded, ' + names + ' was expected')
        def fallocate(f, mode, offset, length):
            if libc.fallocate(f, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0: raise OSError(ctypes.get_errno(), 'fallocate')

        """;
}
