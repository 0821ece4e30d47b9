using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

/// <summary>What programs do with files, each through the kernel. The root's number is not the protocol's, so that numbers are mapped.</summary>
public sealed class TreeMountTests : IDisposable
{
    private readonly MemoryTree _tree = new(rootNode: 77);
    private readonly Lazy<TreeMount> _lazy;

    public TreeMountTests() => _lazy = new Lazy<TreeMount>(() => new TreeMount(_tree));

    private TreeMount Mount => _lazy.Value;

    public void Dispose()
    {
        if (_lazy.IsValueCreated) Mount.Dispose();
    }

    [FuseFact]
    public void A_directory_of_10000_entries_is_listed_exactly_once_while_it_changes() => Mount.Python("""
        os.mkdir('d')
        for i in range(10000): os.mknod(f'd/keep{i}')
        for i in range(500): os.mknod(f'd/gone{i}')
        seen, changes = [], 0
        with os.scandir('d') as entries:
            for entry in entries:
                seen.append(entry.name)
                if len(seen) % 20 == 0 and changes < 500:
                    os.unlink(f'd/gone{499 - changes}')
                    os.mknod(f'd/new{changes}')
                    changes += 1
        kept = [name for name in seen if name.startswith('keep')]
        assert len(kept) == 10000 and len(set(kept)) == 10000, len(kept)
        assert len(seen) == len(set(seen))
        assert changes == 500
        assert sorted(os.listdir('d')) == sorted([f'keep{i}' for i in range(10000)] + [f'new{i}' for i in range(500)])
        """);

    [FuseFact]
    public void Names_of_255_bytes_and_names_that_are_no_text_come_through() => Mount.Python("""
        names = [b'x' * 255, b'\xff\xfe\x80', b' ', b'a\nb', b'...', bytes(range(1, 47)), '€'.encode() * 85]
        for name in names: put(name, name)
        assert sorted(os.listdir(b'.')) == sorted(names)
        for name in names: assert get(name) == name
        fails(errno.ENAMETOOLONG, put, b'y' * 256, b'')
        fails(errno.ENAMETOOLONG, os.stat, b'y' * 256)
        fails(errno.ENAMETOOLONG, os.mkdir, b'y' * 300)
        """);

    [FuseFact]
    public void Extended_attributes_of_all_sizes_and_modes() => Mount.Python("""
        put('f', b'')
        os.setxattr('f', 'user.empty', b'')
        os.setxattr('f', 'user.large', bytes(65536))
        os.setxattr('f', 'trusted.t', b'1')
        os.setxattr('f', 'user.n' + 'x' * 249, b'n')
        assert os.getxattr('f', 'user.empty') == b'' and os.getxattr('f', 'user.large') == bytes(65536)
        assert sorted(os.listxattr('f')) == sorted(['trusted.t', 'user.empty', 'user.large', 'user.n' + 'x' * 249])
        fails(errno.EEXIST, os.setxattr, 'f', 'user.empty', b'x', os.XATTR_CREATE)
        fails(errno.ENODATA, os.setxattr, 'f', 'user.none', b'x', os.XATTR_REPLACE)
        fails(errno.ENODATA, os.getxattr, 'f', 'user.none')
        os.removexattr('f', 'user.empty')
        fails(errno.ENODATA, os.removexattr, 'f', 'user.empty')
        fails(errno.EOPNOTSUPP, os.setxattr, 'f', 'system.posix_acl_access', b'\x02\0\0\0')
        small = ctypes.create_string_buffer(4)
        assert libc.getxattr(b'f', b'user.large', small, 4) == -1 and ctypes.get_errno() == errno.ERANGE
        assert libc.listxattr(b'f', small, 4) == -1 and ctypes.get_errno() == errno.ERANGE
        """);

    [FuseFact]
    public void Renames_replace_keep_and_exchange() => Mount.Python("""
        put('a', b'a'); put('b', b'b'); os.mkdir('d'); os.mkdir('e'); put('e/in', b'')
        fails(errno.EEXIST, rename, 'a', 'b', 1)
        rename('a', 'b', 2)
        assert get('a') == b'b' and get('b') == b'a'
        fails(errno.ENOENT, rename, 'a', 'none', 2)
        rename('a', 'd', 2)
        assert os.path.isdir('a') and get('d') == b'b'
        rename('a', 'd', 2)
        fails(errno.EINVAL, rename, 'a', 'x', 4)
        fails(errno.ENOTEMPTY, os.rename, 'd', 'e')
        fails(errno.EISDIR, os.rename, 'a', 'd')
        fails(errno.ENOTDIR, os.rename, 'd', 'a')
        os.rename('a', 'b')
        assert get('b') == b'b' and not os.path.exists('a')
        os.rename('b', 'e/b')
        assert sorted(os.listdir('e')) == ['b', 'in']
        os.rename('e', 'd')
        assert sorted(os.listdir('d')) == ['b', 'in'] and os.stat('d/..').st_ino == os.stat('.').st_ino
        fails(errno.EINVAL, os.rename, 'd', 'd/under')
        """);

    [FuseFact]
    public void Links_and_files_that_are_unlinked_while_open()
    {
        int before = _tree.NodeCount;
        Mount.Python("""
            put('a', b'content')
            os.link('a', 'b')
            assert os.stat('a').st_nlink == 2 and os.stat('a').st_ino == os.stat('b').st_ino
            f = os.open('a', os.O_RDWR)
            os.unlink('a'); os.unlink('b')
            assert os.fstat(f).st_nlink == 0
            os.pwrite(f, b'still here', 0)
            assert os.pread(f, 100, 0) == b'still here'
            put('a', b'another')
            assert os.fstat(f).st_ino != os.stat('a').st_ino
            os.close(f); os.unlink('a')
            os.symlink('no/where', 's')
            assert os.readlink('s') == 'no/where' and os.lstat('s').st_size == 8
            fails(errno.ENOENT, os.stat, 's')
            os.unlink('s')
            fails(errno.ENAMETOOLONG, os.symlink, 'x' * 4096, 'long')
            os.symlink('x' * 4095, 'long'); assert len(os.readlink('long')) == 4095; os.unlink('long')
            os.mkdir('d'); fails(errno.EPERM, os.link, 'd', 'e'); fails(errno.EISDIR, os.unlink, 'd'); os.rmdir('d')
            """);
        TreeMount.Eventually(() => _tree.NodeCount == before, "what nobody names or holds is gone");
    }

    [FuseFact]
    public void Mapped_files_are_read_and_written() => Mount.Python("""
        size = 300_000
        put('f', bytes(size))
        f = os.open('f', os.O_RDWR)
        m = mmap.mmap(f, size)
        for at in range(0, size, 1000): m[at:at + 4] = at.to_bytes(4, 'little')
        assert os.pread(f, 4, 299_000) == (299_000).to_bytes(4, 'little')
        m.flush()
        os.pwrite(f, b'written', 5000)
        assert m[5000:5007] == b'written'
        m.close(); os.close(f)
        if os.fork() == 0:
            data = get('f')
            assert all(data[at:at + 4] == at.to_bytes(4, 'little') for at in range(0, size, 1000) if at != 5000) and data[5000:5007] == b'written'
            os._exit(0)
        assert os.wait()[1] == 0
        """);

    [FuseFact]
    public void Appends_of_several_processes_lose_nothing() => Mount.Python("""
        children = []
        for child in range(4):
            if (pid := os.fork()) == 0:
                f = os.open('log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                for i in range(500): os.write(f, b'%d %05d\n' % (child, i))
                os._exit(0)
        assert all(os.wait()[1] == 0 for _ in range(4))
        lines = get('log').decode().splitlines()
        assert len(lines) == 2000 and len(set(lines)) == 2000
        for child in range(4): assert [l for l in lines if l[0] == str(child)] == sorted(l for l in lines if l[0] == str(child))
        """);

    [FuseFact]
    public void Direct_reads_and_writes_of_any_length_meet_the_cached_ones() => Mount.Python("""
        put('f', b'0' * 3_000_000)
        assert get('f')[:1] == b'0'
        f = os.open('f', os.O_RDWR | os.O_DIRECT)
        buffer = mmap.mmap(-1, 2_097_152); buffer[:] = b'1' * 2_097_152
        assert os.pwritev(f, [buffer], 4096) == 2_097_152
        data = get('f')
        assert data == b'0' * 4096 + b'1' * 2_097_152 + b'0' * (3_000_000 - 4096 - 2_097_152)
        with open('f', 'r+b') as g: g.seek(4096); g.write(b'2' * 10)
        assert os.preadv(f, [buffer], 0) == 2_097_152 and buffer[4096:4107] == b'2' * 10 + b'1'
        """);

    [FuseFact]
    public void Truncation_allocation_and_holes() => Mount.Python("""
        f = os.open('f', os.O_RDWR | os.O_CREAT)
        os.ftruncate(f, 1_000_000)
        assert os.fstat(f).st_size == 1_000_000 and os.pread(f, 10, 999_995) == bytes(5)
        os.pwrite(f, b'x' * 200_000, 0)
        os.ftruncate(f, 100); os.ftruncate(f, 200)
        assert os.pread(f, 300, 0) == b'x' * 100 + bytes(100)
        fallocate(f, 0, 0, 5000); assert os.fstat(f).st_size == 5000
        fallocate(f, 1, 0, 9000); assert os.fstat(f).st_size == 5000
        os.pwrite(f, b'y' * 400_000, 0)
        fallocate(f, 3, 65536, 131072)
        assert os.pread(f, 131074, 65535) == b'y' + bytes(131072) + b'y'
        fallocate(f, 0x11, 10, 20); assert os.pread(f, 22, 9) == b'y' + bytes(20) + b'y'
        fallocate(f, 0x10, 399_990, 20); assert os.fstat(f).st_size == 400_010 and os.pread(f, 30, 399_985) == b'y' * 5 + bytes(20)
        fails(errno.EOPNOTSUPP, fallocate, f, 8, 0, 4096)
        os.ftruncate(f, 1 << 30)
        assert os.lseek(f, 0, os.SEEK_DATA) == 0 and os.lseek(f, 0, os.SEEK_HOLE) == 65536
        assert os.lseek(f, 65536, os.SEEK_DATA) == 196608
        fails(errno.ENXIO, os.lseek, f, 1 << 29, os.SEEK_DATA)
        fails(errno.ENXIO, os.lseek, f, 1 << 30, os.SEEK_HOLE)
        fails(errno.EFBIG, os.ftruncate, f, 1 << 45)
        with open('f', 'wb'): pass
        assert os.fstat(f).st_size == 0
        """);

    [FuseFact]
    public void Times_modes_owners_kinds_and_statistics() => Mount.Python("""
        put('f', b'x')
        os.utime('f', ns=(-1_500_000_000_123, 4_000_000_000_000_000_007))
        s = os.stat('f'); assert (s.st_atime_ns, s.st_mtime_ns) == (-1_500_000_000_123, 4_000_000_000_000_000_007)
        os.chmod('f', 0o640); os.chown('f', 12, 34)
        s = os.stat('f'); assert (stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid, s.st_size) == (0o640, 12, 34, 1)
        os.mkfifo('p'); os.mknod('c', 0o600 | stat.S_IFCHR, os.makedev(300, 70000))
        assert stat.S_ISFIFO(os.stat('p').st_mode) and os.stat('c').st_rdev == os.makedev(300, 70000)
        kinds = {e.name: e.is_file() for e in os.scandir('.')}; assert kinds == {'f': True, 'p': False, 'c': False}
        v = os.statvfs('.'); assert (v.f_bsize, v.f_blocks, v.f_bfree, v.f_namemax) == (4096, 1 << 20, 1 << 19, 255)
        import subprocess, time
        assert abs(int(subprocess.check_output(['stat', '-c', '%W', 'f'])) - time.time()) < 100
        """);

    [FuseFact]
    public void A_setgid_directory_gives_its_group_away() => Mount.Python("""
        os.mkdir('d'); os.chown('d', 0, 55); os.chmod('d', 0o2775)
        put('d/f', b''); os.mkdir('d/e'); os.symlink('x', 'd/s')
        assert os.stat('d/f').st_gid == 55 and os.stat('d/e').st_gid == 55 and os.lstat('d/s').st_gid == 55
        assert os.stat('d/e').st_mode & stat.S_ISGID and not os.stat('d/f').st_mode & stat.S_ISGID
        """);

    [FuseFact]
    public void The_last_writer_to_close_is_told_to_the_tree()
    {
        Mount.Python("""
            f = os.open('f', os.O_WRONLY | os.O_CREAT); g = os.open('f', os.O_RDWR); r = os.open('f', os.O_RDONLY)
            os.close(f)
            """);
        TreeMount.Eventually(() => _tree.ClosedNodes.Count == 1 && Mount.Mounted.Files.Count == 0, "one close for three handles");
    }

    [FuseFact]
    public void Fio_verifies_what_several_jobs_wrote()
    {
        string output = Mount.Run("fio", "--name=job", "--directory=.", "--rw=randrw", "--bsrange=512-256k", "--bs_unaligned=1", "--size=8m", "--numjobs=4", "--verify=crc32c", "--verify_state_save=0", "--ioengine=psync", "--group_reporting");
        Assert.Contains("err= 0", output, StringComparison.Ordinal);
    }
}
