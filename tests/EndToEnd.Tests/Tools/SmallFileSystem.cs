namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A mounted file system of a few MiB that fills up quickly. Disposing unmounts it.</summary>
internal sealed class SmallFileSystem : IDisposable
{
    private readonly string _folder;

    private SmallFileSystem(string folder) => _folder = folder;

    /// <summary>Whether this process may mount: root with the capability, which containers often lack.</summary>
    public static bool CanMount { get; } = Tool.Run("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt").ExitCode == 0;

    /// <summary>Whether there are loop devices as well.</summary>
    public static bool HasLoopDevices { get; } = CanMount && Tool.Run("losetup", "--find").ExitCode == 0;

    /// <summary>A tmpfs.</summary>
    public static SmallFileSystem Tmpfs(string folder, int mebibytes)
    {
        Directory.CreateDirectory(folder);
        Tool.Succeed("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m", "none", folder);
        return new SmallFileSystem(folder);
    }

    /// <summary>An ext4 in a file.</summary>
    public static SmallFileSystem Ext4(string folder, string file, int mebibytes)
    {
        Directory.CreateDirectory(folder);
        Tool.Succeed("mke2fs", "-q", "-t", "ext4", "-m", "0", file, $"{mebibytes}m");
        Tool.Succeed("mount", "-o", "loop", file, folder);
        return new SmallFileSystem(folder);
    }

    public void Dispose() => Tool.Run("umount", "--lazy", _folder);
}

/// <summary>A theory that mounts file systems; skipped where that is not allowed.</summary>
internal sealed class MountTheoryAttribute : TheoryAttribute
{
    public MountTheoryAttribute()
    {
        if (!SmallFileSystem.CanMount) Skip = "needs the right to mount";
    }
}
