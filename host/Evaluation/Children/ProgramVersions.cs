using System.Text.RegularExpressions;
using StoragePlugins.Host.Commands;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>Versions of what takes part.</summary>
internal static partial class ProgramVersions
{
    // Name of the program, what readers call it, and how it is asked.
    private static readonly (string Program, string Name, string Argument)[] s_programs =
    [
        ("qemu-nbd", "qemu-nbd", "--version"), ("qemu-storage-daemon", "qemu-storage-daemon", "--version"), ("dd", "dd", "--version"), ("fio", "fio", "--version"),
        ("mkfs.ext4", "mkfs.ext4", "-V"), ("losetup", "util-linux", "--version"), ("postgres", "PostgreSQL", "--version"),
    ];

    /// <summary>Those that are installed.</summary>
    public static SortedDictionary<string, string> Find()
    {
        var versions = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["sphost"] = HostCommandLine.Version, ["dotnet"] = Environment.Version.ToString() };
        foreach ((string program, string name, string argument) in s_programs)
        {
            if (Programs.Find(program) is null) continue;
            try
            {
                ProgramOutput output = Programs.Run(program, [argument], Programs.ShortLimit, CancellationToken.None);
                if (Number().Match(output.Output + output.Errors) is { Success: true } match) versions[name] = match.Value;
            }
            catch (DiagnosticException)
            {
                // What does not even tell its version will be told of when it is used.
            }
        }

        return versions;
    }

    [GeneratedRegex(@"\d+\.\d+(\.\d+)*")]
    private static partial Regex Number();
}
