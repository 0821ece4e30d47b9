using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Host.Tests.Pipelines;
using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

/// <summary>Durability, rights, failures, and requests that hold up others.</summary>
public sealed class TreeMountPromisesTests
{
    [FuseFact]
    public void A_write_is_in_the_tree_when_it_returns_where_the_tree_is_durable_then()
    {
        var tree = new MemoryTree();
        using var mount = new TreeMount(tree);
        Assert.False(mount.Mounted.HasWritebackCache);
        mount.Python("""
            f = os.open('f', os.O_WRONLY | os.O_CREAT)
            for i in range(100): os.pwrite(f, b'x' * 10, i * 10)
            os.fsync(f); os.fdatasync(f)
            """);
        Assert.Equal(100, tree.Writes);
        Assert.Equal(0, tree.Flushes);
        Assert.Equal(100, mount.Meter.Read().GuestWrites);
    }

    [FuseFact]
    public void A_cached_read_beside_a_direct_write_leaves_no_old_bytes_behind()
    {
        using var mount = new TreeMount(new MemoryTree());
        mount.Python("""
            import time
            size = 64 * 4096
            put('f', bytes(size))
            f = os.open('f', os.O_RDWR)
            reader = os.fork()
            if reader == 0:
                r = os.open('f', os.O_RDONLY)
                while True: os.pread(r, size, 0)
            end, rounds = time.time() + 2, 0
            while time.time() < end:
                rounds += 1
                for page in range(0, 64, 3): os.pwrite(f, bytes([rounds % 256]) * 4096, page * 4096)
                r = os.open('f', os.O_RDONLY)
                for page in range(0, 64, 3): assert os.pread(r, 4096, page * 4096) == bytes([rounds % 256]) * 4096, (rounds, page)
                os.close(r)
            os.kill(reader, 9)
            assert rounds > 20, rounds
            """);
    }

    [FuseFact]
    public void Written_pages_wait_for_fsync_where_the_tree_needs_a_flush_anyway()
    {
        var tree = new MemoryTree { Durability = TreeDurability.OnFlush };
        using var mount = new TreeMount(tree);
        Assert.True(mount.Mounted.HasWritebackCache);
        mount.Python("""
            f = os.open('f', os.O_RDWR | os.O_CREAT)
            for i in range(1000): os.pwrite(f, b'x' * 4096, i * 4096)
            os.fsync(f)
            put('f2', b'y')
            g = os.open('f2', os.O_WRONLY | os.O_SYNC); os.pwrite(g, b'z', 0)
            g = os.open('f2', os.O_WRONLY | os.O_SYNC | os.O_DIRECT); os.pwritev(g, [mmap.mmap(-1, 4096)], 0)
            os.fsync(os.open('.', os.O_RDONLY))
            """);
        Assert.InRange(tree.Writes, 1, 100);
        Assert.Equal(4, tree.Flushes);
    }

    [FuseFact]
    public void Synchronous_writes_are_flushed_also_past_the_kernels_cache()
    {
        var tree = new MemoryTree { Durability = TreeDurability.OnFlush };
        using var mount = new TreeMount(tree, WritebackCache.Off);
        int Flushes(string flags)
        {
            int before = tree.Flushes;
            mount.Python($"f = os.open('f', os.O_RDWR | os.O_CREAT | {flags})\nb = mmap.mmap(-1, 4096)\nfor i in range(10): os.pwritev(f, [b], i * 4096)");
            return tree.Flushes - before;
        }

        Assert.Equal(0, Flushes("0"));
        Assert.Equal(0, Flushes("os.O_DIRECT"));
        // One each; on a kernel whose cache is written through, by its FSYNC.
        Assert.Equal(10, Flushes("os.O_SYNC"));
        Assert.Equal(10, Flushes("os.O_DSYNC"));
        Assert.Equal(10, Flushes("os.O_SYNC | os.O_DIRECT"));
    }

    [FuseFact]
    public void The_end_of_data_is_not_missed_while_pages_wait_in_the_kernel()
    {
        using var mount = new TreeMount(new MemoryTree { Durability = TreeDurability.OnFlush });
        mount.Python("""
            f = os.open('f', os.O_RDWR | os.O_CREAT); os.ftruncate(f, 1 << 20); os.fsync(f)
            os.pwrite(f, b'x' * 4096, 512 * 1024)
            at = os.lseek(f, 0, os.SEEK_DATA)
            assert at <= 512 * 1024, at
            """);
    }

    [FuseTheory]
    [InlineData("On", true)]
    [InlineData("Off", false)]
    public void The_cache_is_what_was_asked_for(string option, bool expected)
    {
        var wanted = Enum.Parse<WritebackCache>(option);
        using var on = new TreeMount(new MemoryTree(), wanted);
        using var flush = new TreeMount(new MemoryTree { Durability = TreeDurability.OnFlush }, wanted);
        Assert.Equal((expected, expected), (on.Mounted.HasWritebackCache, flush.Mounted.HasWritebackCache));
    }

    [FuseFact]
    public void A_write_takes_setuid_setgid_and_capabilities_away()
    {
        using var mount = new TreeMount(new MemoryTree(), options: new MountOptions { AllowOther = true, SetUserId = true });
        mount.Python("""
            os.umask(0)
            def as_user(action):
                if os.fork() == 0:
                    os.setgroups([]); os.setgid(65534); os.setuid(65534); action(); os._exit(0)
                assert os.wait()[1] == 0
            def mode(path): return oct(stat.S_IMODE(os.stat(path).st_mode))
            capability = bytes.fromhex('0100000200040000000000000000000000000000')
            def append(path):
                f = os.open(path, os.O_WRONLY | os.O_APPEND); os.write(f, b'x'); os.write(f, b'x')
            def new(path):
                put(path, b'content'); os.chmod(path, 0o6777); os.setxattr(path, 'security.capability', capability)
            new('a'); append('a'); assert mode('a') == '0o6777'; assert os.listxattr('a') == []
            new('b'); as_user(lambda: append('b')); assert mode('b') == '0o777'; assert os.listxattr('b') == []
            new('c'); as_user(lambda: os.truncate('c', 3)); assert mode('c') == '0o777'; assert os.listxattr('c') == []
            new('d'); as_user(lambda: put('d', b'')); assert mode('d') == '0o777'; assert os.listxattr('d') == []
            new('e'); os.chown('e', 1, 1); assert mode('e') == '0o777'; assert os.listxattr('e') == []
            # While a file is open: what it is given then is taken away by the next write.
            new('g'); g = os.open('g', os.O_WRONLY); os.write(g, b'1'); os.setxattr('g', 'security.capability', capability); os.write(g, b'2'); assert os.listxattr('g') == []
            # Group without the right to execute: setgid means something else, and stays.
            new('h'); os.chmod('h', 0o2767); as_user(lambda: append('h')); assert mode('h') == '0o2767'
            """);
    }

    [FuseFact]
    public void Others_need_allow_other_and_then_the_modes_count()
    {
        using var closed = new TreeMount(new MemoryTree());
        using var open = new TreeMount(new MemoryTree(), options: new MountOptions { AllowOther = true });
        const string AsNobody = """
            put('mine', b'secret'); os.chmod('mine', 0o600); put('all', b''); os.chmod('all', 0o644)
            here = os.getcwd()
            if os.fork() == 0:
                os.setgroups([]); os.setgid(65534); os.setuid(65534)
            """;
        closed.Python(AsNobody + "\n    fails(errno.EACCES, os.listdir, here); os._exit(0)\nassert os.wait()[1] == 0");
        open.Python(AsNobody + "\n    fails(errno.EACCES, get, 'mine'); assert get('all') == b''; fails(errno.EACCES, put, 'all', b'x'); os.mkdir('own'); os._exit(0)\nassert os.wait()[1] == 0; assert os.stat('own').st_uid == 65534");
    }

    [FuseFact]
    public void A_read_only_tree_refuses_every_change()
    {
        using var mount = new TreeMount(new MemoryTree { IsReadOnly = true });
        mount.Python("""
            fails(errno.EROFS, put, 'f', b''); fails(errno.EROFS, os.mkdir, 'd'); fails(errno.EROFS, os.chmod, '.', 0o700)
            fails(errno.EROFS, os.symlink, 'a', 'b')
            """);
    }

    [FuseFact]
    public void Failures_of_the_tree_are_errors_and_the_mount_lives_on()
    {
        var logger = new RecordingLogger();
        var tree = new MemoryTree { Capacity = 8192 };
        using var mount = new TreeMount(tree, logger: logger);
        mount.Python("put('f', b'x' * 8192); fails(errno.ENOSPC, put, 'f', b'x' * 8193)");
        tree.Before = what =>
        {
            if (what == "write") throw new StorageException(StorageError.NoSpace, "write", "test", 0, 1, "the host's disk is full");
            if (what == "read") throw new InvalidOperationException("a bug");
        };
        mount.Python("fails(errno.ENOSPC, put, 'f', b'x')\nos.truncate('f', 100)\nfails(errno.EIO, get, 'f')\nfails(errno.EIO, get, 'f')");
        tree.Before = null;
        mount.Python("put('f', b'x'); assert get('f') == b'x'");
        Assert.Contains(logger.Lines, line => line.Contains("SP4039", StringComparison.Ordinal) && line.Contains("a bug", StringComparison.Ordinal));
    }

    [FuseFact]
    public void A_lost_flush_is_an_error_of_fsync_and_of_every_later_one()
    {
        var tree = new MemoryTree { Durability = TreeDurability.OnFlush };
        using var mount = new TreeMount(tree);
        tree.Before = what =>
        {
            if (what == "flush") throw new DurabilityLostException("fdatasync", "test", "the device failed");
        };
        mount.Python("f = os.open('f', os.O_WRONLY | os.O_CREAT); os.write(f, b'x')\nfails(errno.EIO, os.fsync, f); fails(errno.EIO, os.fsync, f)");
    }

    [FuseFact]
    public void A_request_that_hangs_holds_up_no_other()
    {
        var tree = new MemoryTree();
        using var release = new ManualResetEventSlim();
        using var mount = new TreeMount(tree);
        mount.Python("put('f', b'x'); put('g', b'y')\nfor name in 'fg': os.posix_fadvise(os.open(name, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)");
        int hanging = 0;
        tree.Before = what =>
        {
            if (what == "read" && Interlocked.Increment(ref hanging) == 1) release.Wait();
        };
        Task<string> stuck = Task.Run(() => mount.Run("cat", "f"));
        TreeMount.Eventually(() => Volatile.Read(ref hanging) == 1, "the first read has come");
        mount.Python("assert get('g') == b'y'; put('h', b'z'); os.mkdir('d'); os.stat('.')");
        Assert.False(stuck.IsCompleted);
        release.Set();
        Assert.Equal("x", stuck.Result);
    }

    [FuseFact]
    public void A_connection_that_is_aborted_ends_the_session()
    {
        using var mount = new TreeMount(new MemoryTree());
        string device = mount.Run("stat", "-c", "%Ld", ".");
        string abort = $"/sys/fs/fuse/connections/{device}/abort";
        if (!File.Exists(abort)) return; // no fusectl here
        File.WriteAllText(abort, "1");
        Assert.True(mount.Session.Ended.WaitOne(TimeSpan.FromSeconds(10)));
    }
}
