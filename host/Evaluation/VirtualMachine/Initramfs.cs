using System.Text;
using StoragePlugins.Host.Evaluation.Children;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>The file system that the virtual machine boots from: a shell, modules, and the host's own programs with their libraries.</summary>
internal static class Initramfs
{
    /// <summary>The shell and what a script needs, in one file without libraries (Debian: busybox-static).</summary>
    public const string Busybox = "busybox";

    /// <summary>The host's programs that must be there.</summary>
    public static readonly string[] Required = [Busybox, "dd", "date", "mke2fs", "ldd"];

    /// <summary>Taken along where it is installed.</summary>
    public const string Fio = "fio";

    private static readonly TimeSpan s_lddLimit = TimeSpan.FromSeconds(20);

    /// <summary>Writes it.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="kernel">Whose modules.</param>
    public static void Write(string path, GuestKernel kernel)
    {
        // Whole when it is there: several machines start at once.
        string unfinished = path + ".unfinished";
        using (FileStream file = File.Create(unfinished))
        {
            var archive = new CpioArchive(file);
            foreach (string folder in (string[])["dev", "proc", "sys", "tmp", "bin", GuestScript.MountPoint]) archive.AddDirectory(folder);
            archive.AddFile("init", Encoding.UTF8.GetBytes(GuestScript.Init), CpioArchive.Executable);
            archive.AddFile($"bin/{Busybox}", Programs.Find(Busybox)!, CpioArchive.Executable);
            for (int i = 0; i < kernel.Modules.Count; i++) archive.AddFile($"{GuestScript.Modules}/{i:000}.ko", ModuleContent.Read(kernel.Modules[i]), CpioArchive.Plain);
            AddPrograms(archive);
            archive.Finish();
        }

        File.Move(unfinished, path);
    }

    private static void AddPrograms(CpioArchive archive)
    {
        var libraries = new HashSet<string>();
        foreach (string name in (string[])["dd", "date", "mke2fs", .. Programs.Find(Fio) is null ? Array.Empty<string>() : [Fio]])
        {
            string program = Programs.Find(name)!;
            archive.AddFile($"{GuestScript.ProgramFolder}/{name}", program, CpioArchive.Executable);
            libraries.UnionWith(LibrariesOf(program));
        }

        foreach (string library in libraries.Order(StringComparer.Ordinal)) archive.AddFile(library, library, CpioArchive.Executable);
    }

    /// <summary>Libraries and loader, where the loader looks for them.</summary>
    private static IEnumerable<string> LibrariesOf(string program)
        => Programs.Run("ldd", [program], s_lddLimit, CancellationToken.None).Output.Split('\n').Select(Library).OfType<string>();

    // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)", "/lib64/ld-linux-x86-64.so.2 (0x…)", and one that the kernel brings along.
    private static string? Library(string line)
        => line.Trim().Split(' ') switch
        {
            [_, "=>", ['/', ..] path, ..] => path,
            [['/', ..] path, ..] => path,
            _ => null,
        };
}
