namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A raw disk with a real ext4 file system full of files: the program under test itself, and some that do not compress.</summary>
internal static class GuestFileSystem
{
    /// <summary>The disk's size. Two whole clusters of the largest size would do; this holds the files.</summary>
    public const long Size = 64L << 20;

    private static readonly Lazy<string> s_disk = new(Make);

    /// <summary>Path of the raw disk; made once a run and never written.</summary>
    public static string Disk => s_disk.Value;

    private static string Make()
    {
        string folder = Directory.CreateTempSubdirectory("sp-e2e-ext4-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        string tree = Path.Combine(folder, "tree"), disk = Path.Combine(folder, "ext4.raw");
        Tool.Succeed("cp", "-r", Path.GetDirectoryName(SphostProcess.Executable)!, tree);
        var random = new Random(1);
        for (int i = 0; i < 64; i++)
        {
            byte[] noise = new byte[random.Next(1, 200_000)];
            random.NextBytes(noise);
            File.WriteAllBytes(Path.Combine(tree, $"noise{i}"), noise);
        }

        Tool.Succeed("mke2fs", "-q", "-t", "ext4", "-d", tree, disk, $"{Size >> 10}k");
        Directory.Delete(tree, recursive: true);
        return disk;
    }
}
