namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The file system in persistent memory under real programs, mounted. Memory stands in for persistent memory.</summary>
public sealed class PmFileSystemTests : Scratch
{
    private const string Config = """
        { "pipelines": { "memory": { "format": "pmfs", "journal": "ordered", "ordering": "fdatasync", "medium": [ { "id": "pm", "emulated": true }, "file" ] } } }
        """;

    private readonly string _image = Path.Combine("/dev/shm", $"sp-e2e-{Guid.NewGuid():N}.pmfs");

    public PmFileSystemTests()
    {
        Directory.CreateDirectory(PathOf("m"));
        File.WriteAllText(PathOf("config.json"), Config);
    }

    public override void Dispose()
    {
        FuseMounts.DetachBelow(Folder);
        File.Delete(_image);
        base.Dispose();
    }

    [FuseFact]
    public void Git_clones_a_real_repository_and_finds_it_whole()
    {
        string repository = Tool.Run("git", "-C", AppContext.BaseDirectory, "rev-parse", "--show-toplevel").Expect(0).Output.Trim();
        using SphostProcess sphost = Mount("1G");
        Tool.Succeed("git", "-c", $"safe.directory={repository}", "clone", "-q", "--no-local", $"file://{repository}", PathOf("m/clone"));
        Tool.Succeed("git", "-c", "safe.directory=*", "-C", PathOf("m/clone"), "fsck", "--full", "--strict");
        Tool.Succeed("git", "-c", "safe.directory=*", "-C", PathOf("m/clone"), "status", "--porcelain");
        Directory.Delete(PathOf("m/clone"), recursive: true);
        Close(sphost);
    }

    [FuseTheory]
    [InlineData("wal")]
    [InlineData("delete")]
    public void Sqlite_keeps_a_database_in_order(string journal)
    {
        using SphostProcess sphost = Mount("256M");
        string script = $"""
            PRAGMA journal_mode={journal}; PRAGMA synchronous=FULL;
            CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB); CREATE INDEX i ON t(a);
            {string.Concat(Enumerable.Range(0, 300).Select(i => $"BEGIN; INSERT INTO t(a, b) SELECT 'name ' || (value * 7919 % 1000), randomblob(value % 900) FROM generate_series({i * 10}, {(i * 10) + 9}); COMMIT;\n"))}
            UPDATE t SET b = randomblob(2000) WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; VACUUM;
            PRAGMA integrity_check; SELECT count(*) FROM t;
            """;
        ToolResult result = Tool.RunIn(Folder, script, "sqlite3", PathOf("m/db")).Expect(0);
        Assert.Contains("ok\n2572\n", result.Output, StringComparison.Ordinal);
        Remount(sphost, out SphostProcess again);
        using (again)
        {
            Assert.Equal("ok\n", Tool.Succeed("sqlite3", PathOf("m/db"), "PRAGMA integrity_check"));
            Close(again);
        }
    }

    [FuseFact]
    public void Trees_go_there_and_back_unchanged()
    {
        string repository = Tool.Run("git", "-C", AppContext.BaseDirectory, "rev-parse", "--show-toplevel").Expect(0).Output.Trim();
        using SphostProcess sphost = Mount("256M");
        Tool.Succeed("sh", "-c", $"tar -C '{repository}' -cf - docs tests/EndToEnd.Tests plugins | tar -C '{PathOf("m")}' -xf -");
        Tool.Succeed("ln", PathOf("m/docs/architecture.md"), PathOf("m/hard"));
        Tool.Succeed("ln", "-s", "docs/architecture.md", PathOf("m/soft"));
        Tool.Succeed("setfattr", "-n", "user.note", "-v", "kept", PathOf("m/hard"));
        Tool.Succeed("rsync", "-aHX", "--numeric-ids", PathOf("m/"), PathOf("back/"));
        Assert.Equal("", Tool.Succeed("rsync", "-aHXc", "--numeric-ids", "--delete", "--dry-run", "--itemize-changes", PathOf("m/"), PathOf("back/")));
        Tool.Succeed("diff", "-r", $"{repository}/docs", PathOf("back/docs"));
        Remount(sphost, out SphostProcess again);
        using (again)
        {
            Assert.Equal("", Tool.Succeed("rsync", "-aHXc", "--numeric-ids", "--delete", "--dry-run", "--itemize-changes", PathOf("m/"), PathOf("back/")));
            Close(again);
        }
    }

    [FuseTheory]
    [InlineData("psync", "0")]
    [InlineData("psync", "1")]
    [InlineData("mmap", "0")]
    public void Fio_reads_what_it_wrote(string engine, string direct)
    {
        using SphostProcess sphost = Mount("512M");
        Fio.File(PathOf("m/f"), $"--ioengine={engine}", $"--direct={direct}", "--rw=randwrite", direct == "1" || engine == "mmap" ? "--bsrange=4k-256k" : "--bsrange=512-256k", "--size=64m", "--verify=crc32c", "--fsync=100");
        Remount(sphost, out SphostProcess again);
        using (again)
        {
            Fio.File(PathOf("m/g"), "--rw=randrw", "--bsrange=1k-64k", "--size=32m", "--verify=crc32c");
            Close(again);
        }
    }

    [FuseTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void Random_operations_end_as_on_a_file_system_of_the_kernel(int seed)
    {
        using SphostProcess sphost = Mount("512M");
        string twin = $"{_image}.twin";
        Directory.CreateDirectory(PathOf("m/t"));
        Directory.CreateDirectory(twin);
        try
        {
            // An hour's worth with --long; each part goes on where the one before ended.
            for (int part = 0; part < (IsLong ? 60 : 1); part++)
            {
                ToolResult result = Tool.Run(Tool.Python, Tool.Script("fs_twins.py"), PathOf("m/t"), twin, $"{seed}{part:00}", IsLong ? "25000" : "20000");
                Assert.True(result.ExitCode == 0, $"part {part}: {result.Text}");
            }
        }
        finally
        {
            // Some of the names are no UTF-8.
            Tool.Succeed("rm", "-rf", twin);
        }

        Close(sphost);
    }

    [FuseFact]
    public void Nothing_that_returned_is_lost_when_the_host_is_killed()
    {
        Create("512M");
        var random = new Random(1);
        const int workers = 3;
        long calls = 0;
        for (int kill = 0, kills = IsLong ? 200 : 20; kill < kills; kill++)
        {
            using SphostProcess sphost = SphostProcess.Mount(Folder, _image, "m", "--pipeline", "memory", "--config", "config.json");
            for (int w = 0; w < workers; w++) Directory.CreateDirectory(PathOf($"m/w{w}"));
            var writing = new List<Task<ToolResult>>();
            for (int w = 0; w < workers; w++)
            {
                string[] arguments = [Tool.Script("fs_ledger.py"), "write", PathOf($"m/w{w}"), PathOf($"ledger{w}"), $"{(kill * workers) + w}"];
                writing.Add(Task.Run(() => Tool.Run(Tool.Python, arguments)));
            }

            while (!Enumerable.Range(0, workers).All(w => File.Exists(PathOf($"ledger{w}")) && new FileInfo(PathOf($"ledger{w}")).Length > 2000)) Thread.Sleep(5);
            Thread.Sleep(random.Next(100));
            sphost.Kill();
            foreach (Task<ToolResult> writer in writing) writer.Result.Expect(0);
            FuseMounts.DetachBelow(Folder);
            RequireClean();
            using SphostProcess again = SphostProcess.Mount(Folder, _image, "m", "--pipeline", "memory", "--config", "config.json");
            for (int w = 0; w < workers; w++)
            {
                ToolResult verified = Tool.Run(Tool.Python, Tool.Script("fs_ledger.py"), "verify", PathOf($"m/w{w}"), PathOf($"ledger{w}"));
                Assert.True(verified.ExitCode == 0, $"kill {kill}, worker {w}: {verified.Text}");
                calls += long.Parse(verified.Output.Split(' ')[0]);
                Directory.Delete(PathOf($"m/w{w}"), recursive: true);
                File.Delete(PathOf($"ledger{w}"));
            }

            Close(again);
        }

        Assert.True(calls > 20 * workers, $"{calls} calls");
    }

    [FuseFact]
    public void A_full_image_says_so_and_loses_nothing()
    {
        using SphostProcess sphost = Mount("16M");
        File.WriteAllText(PathOf("m/kept"), "kept");
        ToolResult dd = Tool.Run("dd", "if=/dev/urandom", "of=" + PathOf("m/big"), "bs=64k", "count=1000");
        Assert.NotEqual(0, dd.ExitCode);
        Assert.Contains("No space left on device", dd.Errors, StringComparison.Ordinal);
        Assert.Equal(0, new FileInfo(PathOf("m/big")).Length % 65536);
        Assert.Equal("kept", File.ReadAllText(PathOf("m/kept")));
        File.Delete(PathOf("m/big"));
        File.WriteAllBytes(PathOf("m/next"), new byte[8 << 20]);
        Close(sphost);
    }

    [FuseFact]
    public void Space_of_a_removed_file_can_be_written_at_once()
    {
        using SphostProcess sphost = Mount("16M");
        // Each round closes, removes and writes without a pause; RELEASE and FORGET are still on their way.
        Tool.RunIn(PathOf("m"), """
            import os
            for i in range(100):
                with open('full', 'wb', buffering=0) as f:
                    try:
                        while True: f.write(bytes(1 << 20))
                    except OSError: pass
                os.unlink('full')
                with open('next', 'wb', buffering=0) as f:
                    for part in range(8): f.write(bytes(1 << 20))
                os.unlink('next')
            """, Tool.Python).Expect(0);
        Close(sphost);
    }

    [FuseFact]
    public void Space_that_is_not_coming_back_is_not_waited_for_long()
    {
        using SphostProcess sphost = Mount("16M");
        Tool.RunIn(PathOf("m"), """
            import errno, os, time
            f = open('removed and open', 'wb', buffering=0)
            os.unlink('removed and open')
            def is_full():
                try: f.write(bytes(65536))
                except OSError as failure: return failure.errno == errno.ENOSPC
                return False
            while not is_full(): pass
            begin = time.monotonic()
            assert all(is_full() for i in range(20))
            assert time.monotonic() - begin < 5
            """, Tool.Python).Expect(0);
        Close(sphost);
    }

    [FuseFact]
    public void Two_hosts_cannot_have_one_image()
    {
        using SphostProcess sphost = Mount("16M");
        Directory.CreateDirectory(PathOf("n"));
        ToolResult second = Tool.RunIn(Folder, null, SphostProcess.Executable, "mount", _image, "n", "--pipeline", "memory", "--config", "config.json");
        Assert.Equal(1, second.ExitCode);
        Assert.Contains("SP3020", second.Errors, StringComparison.Ordinal);
        Close(sphost);
    }

    [FuseFact]
    public void An_image_cut_under_a_mount_is_an_error_and_not_the_end_of_the_host()
    {
        using SphostProcess sphost = Mount("64M");
        File.WriteAllBytes(PathOf("m/f"), new byte[30 << 20]);
        using (FileStream image = File.Open(_image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) image.SetLength(4 << 20);
        ToolResult dd = Tool.Run("dd", "if=/dev/zero", "of=" + PathOf("m/f"), "bs=1M", "count=20", "conv=notrunc", "oflag=direct");
        Assert.NotEqual(0, dd.ExitCode);
        Assert.Contains("Input/output error", dd.Errors, StringComparison.Ordinal);
        Assert.NotEqual(0, Tool.Run("touch", PathOf("m/g")).ExitCode);
        int exit = sphost.Terminate();
        Assert.True(exit is 0 or 1, $"{exit}");
        Assert.DoesNotContain("unexpected", sphost.Errors, StringComparison.OrdinalIgnoreCase);
    }

    private void Create(string size) => Tool.Sphost("image", "create", "-f", "pmfs", _image, size).Expect(0);

    private SphostProcess Mount(string size)
    {
        Create(size);
        return Mount();
    }

    private SphostProcess Mount() => SphostProcess.Mount(Folder, _image, "m", "--pipeline", "memory", "--config", "config.json");

    private void Remount(SphostProcess sphost, out SphostProcess again)
    {
        Close(sphost);
        again = Mount();
    }

    private void Close(SphostProcess sphost)
    {
        sphost.Close();
        RequireClean();
    }

    private void RequireClean()
    {
        ToolResult check = Tool.Sphost("image", "check", _image);
        Assert.True(check.ExitCode == 0, check.Text);
    }
}
