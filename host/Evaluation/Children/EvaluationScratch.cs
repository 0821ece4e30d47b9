using System.Globalization;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>
/// The folders of a run. All of them have one name, which no other run has: whatever mentions it, as a mount point, as the file behind a loop device or in a command
/// line, belongs to the run, and that is how leftovers are found (<see cref="Leftovers"/>), by this run, by its <see cref="Supervisor"/>, or by a later run.
/// </summary>
internal sealed class EvaluationScratch : IDisposable
{
    /// <summary>What the name begins with.</summary>
    public const string Prefix = "sphost-evaluate-";

    private const string LockName = "lock";
    private const string RootsName = "roots";
    private const string ProcessName = "process";

    // What the runtime leaves among the temporary files when it is killed; the process id follows.
    private static readonly string[] s_runtimeFiles = ["dotnet-diagnostic-", "clr-debug-pipe-"];

    private readonly FileStream _lock;

    private EvaluationScratch(string name, string home, IReadOnlyList<string> roots, FileStream held)
    {
        (Name, Roots, _lock) = (name, roots, held);
        Images = Directory.CreateDirectory(Path.Combine(roots[0], "images")).FullName;
        Sockets = Directory.CreateDirectory(Path.Combine(home, "s")).FullName;
        Memory = roots.Count > 1 ? Directory.CreateDirectory(Path.Combine(roots[^1], "memory")).FullName : null;
    }

    /// <summary>The run's name.</summary>
    public string Name { get; }

    /// <summary>Its folders, one in each of the places below.</summary>
    public IReadOnlyList<string> Roots { get; }

    /// <summary>For images and mount points.</summary>
    public string Images { get; }

    /// <summary>For sockets, whose paths must be short: always among the temporary files.</summary>
    public string Sockets { get; }

    /// <summary>In memory that stands in for persistent memory; null where there is no such folder.</summary>
    public string? Memory { get; }

    /// <summary>Makes them.</summary>
    /// <param name="directory">Where images go; null for the folder of temporary files.</param>
    /// <param name="memory">Where files are in memory; null when there is no such place.</param>
    /// <exception cref="DiagnosticException">SP4103: nothing can be made there.</exception>
    public static EvaluationScratch Create(string? directory, string? memory)
    {
        string parent = Path.GetFullPath(directory ?? Path.GetTempPath());
        string name = Prefix + Guid.NewGuid().ToString("N")[..12];
        string home = Path.Combine(Path.GetTempPath(), name);
        string[] roots = [Path.Combine(parent, name), .. memory is null ? Array.Empty<string>() : [Path.Combine(memory, name)]];
        try
        {
            if (!Directory.Exists(parent)) throw new DirectoryNotFoundException("there is no such folder");
            Directory.CreateDirectory(home);
            // Held as long as this process lives, by whatever death it dies.
            var held = new FileStream(Path.Combine(home, LockName), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllLines(Path.Combine(home, RootsName), roots);
            File.WriteAllText(Path.Combine(home, ProcessName), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            foreach (string root in roots) Directory.CreateDirectory(root);
            return new EvaluationScratch(name, home, [.. roots], held);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            foreach (string root in roots.Append(home).Where(Directory.Exists)) Directory.Delete(root, recursive: true);
            throw new DiagnosticException("SP4103", "scratch images cannot be made there", parent, found: failure.Message.TrimEnd('.'), fix: "name another folder with --directory", inner: failure);
        }
    }

    /// <summary>Names of runs that ended without cleaning up: nobody holds their lock.</summary>
    public static IEnumerable<string> Abandoned()
        => Directory.EnumerateDirectories(Path.GetTempPath(), Prefix + "*").Where(IsOurs).Select(folder => Path.GetFileName(folder)).Where(name => !IsHeld(name));

    // Among the temporary files anybody can make a folder of this name; what another user writes into it is no order.
    private static unsafe bool IsOurs(string folder)
    {
        FuseCalls.StatXBuffer status;
        return FuseCalls.StatX(FuseCalls.StatXBuffer.CurrentDirectory, folder, 0, FuseCalls.StatXBuffer.BasicMask, &status) == 0 && status.UserId == UnixFile.EffectiveUserId;
    }

    /// <summary>The folders of a run, as far as they exist.</summary>
    public static IReadOnlyList<string> RootsOf(string name)
    {
        string home = Path.Combine(Path.GetTempPath(), name), list = Path.Combine(home, RootsName);
        string[] named = File.Exists(list) ? File.ReadAllLines(list) : [];
        // A list that was tampered with must not lead anywhere else.
        return [.. named.Where(root => Path.IsPathRooted(root) && Path.GetFileName(root) == name).Append(home).Distinct().Where(Directory.Exists)];
    }

    /// <summary>Deletes what the runtime of a run's process left when it was killed.</summary>
    public static void DeleteRuntimeFiles(string name)
    {
        string file = Path.Combine(Path.GetTempPath(), name, ProcessName);
        if (!File.Exists(file) || !int.TryParse(File.ReadAllText(file), CultureInfo.InvariantCulture, out int process) || Directory.Exists($"/proc/{process}")) return;
        foreach (string left in s_runtimeFiles.SelectMany(prefix => Directory.EnumerateFileSystemEntries(Path.GetTempPath(), $"{prefix}{process}-*"))) File.Delete(left);
    }

    /// <summary>Ends whatever of the run is left and deletes its folders.</summary>
    public void Dispose()
    {
        Leftovers.Remove(Name);
        _lock.Dispose();
    }

    private static bool IsHeld(string name)
    {
        try
        {
            new FileStream(Path.Combine(Path.GetTempPath(), name, LockName), FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
            return false;
        }
        catch (FileNotFoundException)
        {
            // It begins or ends at this moment, or died between the two; the next run looks again.
            return Directory.GetCreationTimeUtc(Path.Combine(Path.GetTempPath(), name)) > DateTime.UtcNow.AddMinutes(-1);
        }
        catch (Exception held) when (held is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }
}
