using System.Globalization;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Exports.Fuse;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>ext4 on a loop device on a file, mounted: the guest's side. It is the same for everybody who is measured.</summary>
/// <remarks>The loop device uses the host's page cache (<c>--direct-io=off</c>), as <c>mount -o loop</c> does, and goes by itself when the file system is unmounted.</remarks>
internal sealed class LoopFileSystem : IDisposable
{
    /// <summary>What this needs; QEMU's and our exports have needs of their own.</summary>
    public static readonly string[] Tools = ["losetup", "mkfs.ext4", "mount", "umount"];

    // Fields of /sys/block/*/stat, from 0: Documentation/block/stat.rst.
    private const int SectorsWritten = 6, Flushes = 15;
    private const int SectorBytes = 512;

    private readonly string _device;
    private bool _isMounted;

    private LoopFileSystem(string device, string folder) => (_device, Folder) = (device, folder);

    /// <summary>Its root.</summary>
    public string Folder { get; }

    /// <summary>Flushes that the loop device was asked for, as the block layer counts them.</summary>
    public long FlushCount => Statistic(Flushes);

    /// <summary>Bytes that were written to the loop device.</summary>
    public long WrittenBytes => Statistic(SectorsWritten) * SectorBytes;

    /// <summary>Makes and mounts it.</summary>
    /// <param name="file">The disk.</param>
    /// <param name="folder">An empty folder.</param>
    /// <param name="mountOptions">Such as <c>data=ordered</c>; null for the defaults.</param>
    /// <param name="cancel">Ends it.</param>
    public static LoopFileSystem Make(string file, string folder, string? mountOptions, CancellationToken cancel)
    {
        string device = Programs.Run("losetup", ["--find", "--show", "--direct-io=off", file], Programs.ShortLimit, CancellationToken.None).Output.Trim();
        var made = new LoopFileSystem(device, folder);
        try
        {
            // Nothing goes on in the background while something is measured: tables are written when they are needed, as after a first boot.
            Programs.Run("mkfs.ext4", ["-q", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", device], Programs.ShortLimit, cancel);
            Programs.Run("mount", ["-t", "ext4", "-o", mountOptions is null ? "noinit_itable" : "noinit_itable," + mountOptions, device, folder], Programs.ShortLimit, CancellationToken.None);
            made._isMounted = true;
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
        finally
        {
            // Where it is mounted by now it stays as long as that; otherwise it goes.
            Programs.Run("losetup", ["--detach", device], Programs.ShortLimit, CancellationToken.None);
        }
    }

    /// <summary>syncfs(2).</summary>
    public void Settle()
    {
        using SafeFileHandle root = FuseCalls.Open(Folder, FuseCalls.OpenDirectory | FuseCalls.OpenCloseOnExec);
        if (root.IsInvalid || FuseCalls.SyncFileSystem(root) != 0) throw Programs.Failed("syncfs", [Folder], "what was written does not reach the disk");
    }

    /// <summary>Unmounts it: everything is on the disk afterwards, and the loop device is gone.</summary>
    /// <exception cref="DiagnosticException">SP4202.</exception>
    public void Unmount()
    {
        Programs.Run("umount", [Folder], Programs.ShortLimit, CancellationToken.None);
        _isMounted = false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_isMounted) return;
        _isMounted = false;
        if (FuseCalls.Unmount(Folder, 0) != 0) _ = FuseCalls.Unmount(Folder, FuseCalls.UnmountDetach);
    }

    private long Statistic(int field)
        => long.Parse(File.ReadAllText($"/sys/block/{Path.GetFileName(_device)}/stat").Split(' ', StringSplitOptions.RemoveEmptyEntries)[field], CultureInfo.InvariantCulture);
}
