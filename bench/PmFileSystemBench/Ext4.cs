using System.ComponentModel;
using System.Diagnostics;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>
/// ext4 in ordered mode on a RAM disk, seen by this thread and the programs that it starts.
/// </summary>
/// <remarks>The mount is made in a mount namespace of this thread's own: the kernel takes it away with the process, however that ends. The loop device is told
/// to go with its last user, and its file has no name any more. So a killed bench leaves nothing but an idle zram device.</remarks>
internal sealed class Ext4 : IDisposable
{
    private readonly string _mountPoint;
    private readonly RamDisk _disk;

    private Ext4(RamDisk disk, string mountPoint)
    {
        _disk = disk;
        _mountPoint = mountPoint;
        Volume = new DirectoryVolume(disk.Name, mountPoint);
    }

    /// <summary>The file system, to be measured.</summary>
    public DirectoryVolume Volume { get; }

    /// <summary>What stands below it, in words.</summary>
    public string Description => $"ext4 data=ordered on {_disk.Description}";

    /// <summary>Makes, fills and mounts it.</summary>
    public static Ext4 Make(string baseline, Scratch scratch, long bytes)
    {
        UseOwnMounts();
        RamDisk disk = baseline == "zram" ? RamDisk.MakeZram(bytes) : RamDisk.MakeLoop(scratch, bytes);
        try
        {
            // Discarding would give the memory back that was just touched; tables that are initialised lazily would be written during the measurement.
            Run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", disk.Device);
            string mountPoint = Directory.CreateDirectory(Path.Combine(scratch.Path, "ext4")).FullName;
            if (SystemCalls.Mount(disk.Device, mountPoint, "ext4", 0, "data=ordered") != 0) throw SystemCalls.Failed("mount", disk.Device);
            disk.GoWithMount();
            return new Ext4(disk, mountPoint);
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Volume.Dispose();
        if (SystemCalls.Unmount(_mountPoint, 0) != 0) throw SystemCalls.Failed("umount", _mountPoint);
        _disk.Dispose();
    }

    /// <summary>Runs a program to its end; its output is what it printed.</summary>
    internal static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output.Trim() : throw new BenchException($"{program} {string.Join(' ', arguments)}: {errors.Result.Trim()}");
        }
        catch (Win32Exception e)
        {
            throw new BenchException($"{program} cannot be started: {e.Message} (Debian: apt-get install e2fsprogs mount)");
        }
    }

    // The namespace is the calling thread's, and is inherited by the programs that it starts: the bench measures on this one thread.
    private static void UseOwnMounts()
    {
        if (SystemCalls.Unshare(SystemCalls.NewMountNamespace) != 0) throw SystemCalls.Failed("unshare", "the mounts");
        if (SystemCalls.Mount(null, "/", null, SystemCalls.MountRecursive | SystemCalls.MountPrivate, null) != 0) throw SystemCalls.Failed("mount", "/ (private)");
    }
}
