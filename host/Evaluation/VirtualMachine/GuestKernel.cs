using System.Text;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>A kernel for the virtual machine, and those of its modules that a disk with ext4 takes.</summary>
/// <param name="Image">The kernel itself.</param>
/// <param name="Release">As <c>uname -r</c> says it there.</param>
/// <param name="Modules">Paths, in an order in which they can be loaded.</param>
internal sealed record GuestKernel(string Image, string Release, IReadOnlyList<string> Modules)
{
    /// <summary>What Debian calls kernels that are made for virtual machines: small, and quick to boot.</summary>
    public const string Package = "linux-image-cloud-amd64";

    private const string Prefix = "vmlinuz-";
    private const string Flavour = "cloud-amd64";

    // What is not there as a module is in the kernel: Debian's cloud kernel has ext4 in it, its ordinary one does not.
    private static readonly string[] s_needed = ["virtio_pci", "virtio_blk", "ext4", "crc32c_generic"];

    /// <summary>Finds one.</summary>
    /// <param name="named">Of the command line; null for the newest cloud kernel that is installed.</param>
    /// <returns>Null when none is installed.</returns>
    /// <exception cref="DiagnosticException">SP4220: the one that is named cannot be used.</exception>
    public static GuestKernel? Find(string? named)
    {
        string? image = named is null ? Installed() : Path.GetFullPath(named);
        if (image is null) return null;
        if (!File.Exists(image)) throw Unusable(image, "there is no such file");
        string file = Path.GetFileName(image);
        if (!file.StartsWith(Prefix, StringComparison.Ordinal)) throw Unusable(image, $"its name does not begin with '{Prefix}', so that nothing tells its release");
        string release = file[Prefix.Length..];
        string? modules = ModuleFolders(image, release).FirstOrDefault(Directory.Exists);
        if (modules is null)
        {
            // An installed kernel whose modules are gone is not one that can be used, but nobody asked for it either.
            return named is null ? null : throw Unusable(image, $"there are no modules of it in {string.Join(" or ", ModuleFolders(image, release))}");
        }

        return new GuestKernel(image, release, InLoadingOrder(modules));
    }

    private static string? Installed() => !Directory.Exists("/boot") ? null : Directory.EnumerateFiles("/boot", $"{Prefix}*{Flavour}")
        .OrderByDescending(VersionOf).FirstOrDefault();

    // 6.1.0-54-cloud-amd64 is newer than 6.1.0-9-cloud-amd64.
    private static Version VersionOf(string image)
    {
        int[] numbers = [.. Path.GetFileName(image)[Prefix.Length..].Split('.', '-').TakeWhile(part => int.TryParse(part, out _)).Select(int.Parse), 0, 0, 0, 0];
        return new Version(numbers[0], numbers[1], numbers[2], numbers[3]);
    }

    // Where the package puts them, beside the system's root or, of a package that was only unpacked, beside its own.
    private static string[] ModuleFolders(string image, string release) =>
        [.. new[] { Path.Combine("/lib/modules", release), Path.GetFullPath(Path.Combine(Path.GetDirectoryName(image)!, "../lib/modules", release)) }.Distinct()];

    private static List<string> InLoadingOrder(string folder)
    {
        var files = new Dictionary<string, string>();
        foreach (string file in Directory.EnumerateFiles(folder, "*.ko*", SearchOption.AllDirectories)) files[ModuleName(file)] = file;
        var ordered = new List<string>();
        var seen = new HashSet<string>();
        void Add(string module)
        {
            if (!seen.Add(module) || !files.TryGetValue(module, out string? file)) return;
            foreach (string other in DependenciesOf(file)) Add(other);
            ordered.Add(file);
        }

        foreach (string module in s_needed) Add(module);
        return ordered;
    }

    // In names of modules - and _ are the same.
    private static string ModuleName(string file) => Path.GetFileName(file).Split('.')[0].Replace('-', '_');

    // A module says it in its section .modinfo: "depends=jbd2,crc16,mbcache", between zeros. modules.dep has the same, where depmod was run.
    private static string[] DependenciesOf(string file)
    {
        ReadOnlySpan<byte> key = "\0depends="u8;
        ReadOnlySpan<byte> bytes = ModuleContent.Read(file);
        int start = bytes.IndexOf(key);
        if (start < 0) return [];
        bytes = bytes[(start + key.Length)..];
        return Encoding.ASCII.GetString(bytes[..bytes.IndexOf((byte)0)]).Replace('-', '_').Split(',', StringSplitOptions.RemoveEmptyEntries);
    }

    private static DiagnosticException Unusable(string image, string found) => new(
        "SP4220", "the kernel cannot be used for the virtual machine", image, "a vmlinuz-RELEASE with its modules in /lib/modules/RELEASE", found,
        $"name another one with --kernel, or install {Package}");
}
