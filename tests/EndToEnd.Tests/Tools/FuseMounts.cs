namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A test that mounts by FUSE; skipped where that is not allowed.</summary>
internal sealed class FuseFactAttribute : FactAttribute
{
    public FuseFactAttribute()
    {
        if (!FuseMounts.CanMount) Skip = FuseMounts.WhyNot;
    }
}

/// <summary>A theory that mounts by FUSE; skipped where that is not allowed.</summary>
internal sealed class FuseTheoryAttribute : TheoryAttribute
{
    public FuseTheoryAttribute()
    {
        if (!FuseMounts.CanMount) Skip = FuseMounts.WhyNot;
    }
}

/// <summary>What is mounted, as the kernel tells it.</summary>
internal static class FuseMounts
{
    public const string WhyNot = "needs the right to mount, and /dev/fuse";

    /// <summary>Whether this process may.</summary>
    public static bool CanMount { get; } = SmallFileSystem.CanMount && File.Exists("/dev/fuse");

    /// <summary>Whether a file system is mounted there.</summary>
    public static bool IsMounted(string path) => File.ReadLines("/proc/self/mountinfo").Any(line => line.Split(' ')[4] == path);

    /// <summary>Takes away whatever a test left mounted below a folder.</summary>
    public static void DetachBelow(string folder)
    {
        foreach (string path in File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')[4]).Where(path => path.StartsWith(folder + "/", StringComparison.Ordinal)).Reverse().ToList())
            Tool.Run("umount", "--lazy", path);
    }
}
