using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

/// <summary>A tree of this process's memory, mounted in a folder of its own. Disposing unmounts it.</summary>
/// <remarks>Programs use it from other processes: a page fault of this one would wait for a thread that the garbage collector may have stopped.</remarks>
internal sealed class TreeMount : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly FuseSession _session;
    private readonly MountPoint _point;

    public TreeMount(IFileTree tree, WritebackCache writeback = WritebackCache.Auto, MountOptions? options = null, int threads = 4, ILogger? logger = null)
    {
        Folder = Directory.CreateTempSubdirectory("sp-fuse-").FullName;
        if (OperatingSystem.IsLinux()) File.SetUnixFileMode(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        Mounted = new MountedTree(tree, Meter);
        _point = MountPoint.Prepare(Folder, mayHaveEntries: false, NullLogger.Instance);
        _session = new FuseSession(FuseMount.Mount(_point, "test", options ?? new MountOptions()), Mounted, new FuseSessionOptions(threads, writeback), logger ?? NullLogger.Instance);
        _session.Start();
    }

    /// <summary>Where.</summary>
    public string Folder { get; }

    public MountedTree Mounted { get; }

    public StorageMeter Meter { get; } = new();

    public FuseSession Session => _session;

    public string PathOf(string name) => Path.Combine(Folder, name);

    /// <summary>Runs Python in the mount, which must succeed; <c>os</c>, <c>errno</c> and helpers are there.</summary>
    public string Python(string code) => Run("/usr/bin/python3", "-c", Preamble + code);

    /// <summary>Runs a program in the mount, which must succeed.</summary>
    public string Run(string program, params string[] arguments)
    {
        (int exitCode, string output, string errors) = TryRun(program, arguments);
        Assert.True(exitCode == 0, $"{program} ended with {exitCode}\n{output}{errors}");
        return output.TrimEnd();
    }

    /// <summary>Runs a program in the mount.</summary>
    public (int ExitCode, string Output, string Errors) TryRun(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_deadline))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} did not end");
        }

        return (process.ExitCode, output.Result, errors.Result);
    }

    /// <summary>Waits for something that the kernel does in its own time.</summary>
    public static void Eventually(Func<bool> condition, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), what);
            Thread.Sleep(5);
        }
    }

    public void Dispose()
    {
        if (FuseMount.Unmount(_point.Path) != UnmountResult.Done) FuseMount.Detach(_point.Path);
        _session.Ended.WaitOne(s_deadline);
        _session.Dispose();
        Directory.Delete(Folder);
    }

    private const string Preamble = """
        import os, sys, errno, ctypes, mmap, stat
        libc = ctypes.CDLL(None, use_errno=True)
        def fails(number, call, *arguments, **named):
            try: call(*arguments, **named)
            except OSError as e:
                assert e.errno == number, (errno.errorcode.get(e.errno), errno.errorcode.get(number))
                return
            raise AssertionError('it succeeded, ' + errno.errorcode[number] + ' was expected')
        def rename(a, b, flags):
            if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags) != 0:
                raise OSError(ctypes.get_errno(), 'renameat2')
        def fallocate(f, mode, offset, length):
            if libc.fallocate(f, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
                raise OSError(ctypes.get_errno(), 'fallocate')
        def put(path, data):
            with open(path, 'wb') as f: f.write(data)
        def get(path):
            with open(path, 'rb') as f: return f.read()

        """;
}

/// <summary>A test that mounts; skipped where that is not allowed.</summary>
internal sealed class FuseFactAttribute : FactAttribute
{
    public FuseFactAttribute()
    {
        if (!FuseIsThere.Value) Skip = FuseIsThere.WhyNot;
    }
}

/// <summary>A theory that mounts; skipped where that is not allowed.</summary>
internal sealed class FuseTheoryAttribute : TheoryAttribute
{
    public FuseTheoryAttribute()
    {
        if (!FuseIsThere.Value) Skip = FuseIsThere.WhyNot;
    }
}

internal static class FuseIsThere
{
    public const string WhyNot = "needs root and /dev/fuse";

    public static bool Value { get; } = Environment.IsPrivilegedProcess && File.Exists(FuseMount.DevicePath) && CanMount();

    private static bool CanMount()
    {
        using Process probe = Process.Start("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
        probe.WaitForExit();
        return probe.ExitCode == 0;
    }
}
