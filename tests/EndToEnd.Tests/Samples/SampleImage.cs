namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Images that stock qemu-img makes of the guest file system, one for each way of keeping a disk.</summary>
internal static class SampleImage
{
    private static readonly Dictionary<string, Func<string, string>> s_makers = new()
    {
        ["raw"] = MakeRaw,
        ["qcow2"] = folder => Convert(folder),
        ["clusters of 512 B"] = folder => Convert(folder, "-o", "cluster_size=512"),
        ["clusters of 2 MiB"] = folder => Convert(folder, "-o", "cluster_size=2M"),
        ["refcounts of 1 bit"] = folder => Convert(folder, "-o", "refcount_bits=1"),
        ["refcounts of 64 bits"] = folder => Convert(folder, "-o", "refcount_bits=64"),
        ["version 2"] = folder => Convert(folder, "-o", "compat=0.10"),
        ["lazy refcounts"] = folder => Convert(folder, "-o", "lazy_refcounts=on"),
        ["zlib"] = folder => Convert(folder, "-c"),
        ["zstd"] = folder => Convert(folder, "-c", "-o", "compression_type=zstd"),
        ["zlib in clusters of 512 B"] = folder => Convert(folder, "-c", "-o", "cluster_size=512"),
        ["internal snapshots"] = MakeSnapshots,
        ["backing chain"] = MakeChain,
    };

    /// <summary>Their names, for theories.</summary>
    public static TheoryData<string> Kinds => [.. s_makers.Keys];

    /// <summary>The snapshots of "internal snapshots".</summary>
    public static IReadOnlyList<string> SnapshotsOf(string kind) => kind == "internal snapshots" ? ["first", "second"] : [];

    /// <summary>Makes an image of this kind.</summary>
    /// <returns>Its path.</returns>
    public static string Make(string kind, string folder) => s_makers[kind](folder);

    private static string MakeRaw(string folder)
    {
        string image = Path.Combine(folder, "disk.raw");
        File.Copy(GuestFileSystem.Disk, image);
        return image;
    }

    private static string Convert(string folder, params string[] options)
    {
        string image = Path.Combine(folder, "disk.qcow2");
        Qemu.Img(["convert", "-f", "raw", "-O", "qcow2", .. options, GuestFileSystem.Disk, image]);
        return image;
    }

    private static string MakeSnapshots(string folder)
    {
        string image = Convert(folder);
        Qemu.Img("snapshot", "-c", "first", image);
        Qemu.Io("qcow2", image, "write -P 17 1M 3M", "write -P 18 20000 100", "write -z 8M 1M");
        Qemu.Img("snapshot", "-c", "second", image);
        Qemu.Io("qcow2", image, "write -P 19 2M 4M", "write -P 20 40M 70000");
        return image;
    }

    private static string MakeChain(string folder)
    {
        string middle = Path.Combine(folder, "middle.qcow2"), top = Path.Combine(folder, "disk.qcow2");
        File.Copy(GuestFileSystem.Disk, Path.Combine(folder, "base.raw"));
        Qemu.Img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", middle);
        Qemu.Io("qcow2", middle, "write -P 33 1M 3M", "write -P 34 30000 100", "write -z 8M 1M");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=32k", "-b", "middle.qcow2", "-F", "qcow2", top);
        Qemu.Io("qcow2", top, "write -P 35 2M 4M", "write -P 36 40M 70000", "write -z 50M 100k");
        return top;
    }
}
