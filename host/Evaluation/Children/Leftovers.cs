using System.Diagnostics;
using System.Text;
using StoragePlugins.Host.Exports.Fuse;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>Everything that mentions the name of a run: taken apart from the outside in, as far as it is there at all.</summary>
internal static class Leftovers
{
    // Programs that mounts stand on: they end after the mounts.
    private static readonly string[] s_servers = ["sphost", "dotnet", "qemu-storage-daemon", "qemu-storage-d"];

    // A server flushes what it was asked for; one that needs longer is killed.
    private static readonly TimeSpan s_serverLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(10);

    private const int Quit = 3, Kill = 9;

    // Programs that were told to end let go of their files within this time; then the file system is taken out of sight, and goes when they do.
    private static readonly TimeSpan s_busyLimit = TimeSpan.FromSeconds(2);

    // What is found at first may have been in the middle of making more: a mount, a loop device.
    private const int MaxPasses = 5;

    /// <summary>Ends processes, unmounts, detaches loop devices, and deletes the folders.</summary>
    public static void Remove(string name)
    {
        IReadOnlyList<string> roots = EvaluationScratch.RootsOf(name);
        for (int pass = 0; pass < MaxPasses && TakeApart(name, pass); pass++)
        {
        }

        EvaluationScratch.DeleteRuntimeFiles(name);
        foreach (string root in roots) DeleteFolder(root);
    }

    /// <summary>What is left of a run, for messages and tests.</summary>
    public static IReadOnlyList<string> Find(string name) =>
    [
        .. Processes(name).Select(process => $"process {process.Id}"), .. Mounts(name).Select(mount => $"mount {mount.Path}"), .. LoopDevices(name).Select(device => $"loop device {device}"),
        .. EvaluationScratch.RootsOf(name).Select(root => $"folder {root}"),
    ];

    private static bool TakeApart(string name, int pass)
    {
        bool any = false;
        foreach ((int id, string program) in Processes(name))
        {
            if (s_servers.Contains(program)) continue;
            any = true;
            // A database that is killed leaves a segment of shared memory behind; one that is told to end at once does not.
            _ = ServerProcess.SendSignal(id, program == "postgres" && pass == 0 ? Quit : Kill);
        }

        // A file system first, then what it stands on.
        (string Path, bool IsFuse)[] mounts = [.. Mounts(name)];
        foreach ((string path, _) in mounts.Where(mount => !mount.IsFuse)) any |= Unmount(path);
        foreach (string device in LoopDevices(name))
        {
            any = true;
            if (Programs.Find("losetup") is { } losetup) RunQuietly(losetup, "--detach", device);
        }

        any |= EndServers(name);
        foreach ((string path, _) in mounts.Where(mount => mount.IsFuse)) any |= Unmount(path);
        return any;
    }

    private static bool EndServers(string name)
    {
        int[] servers = [.. Processes(name).Select(process => process.Id)];
        foreach (int id in servers) _ = ServerProcess.SendSignal(id, ServerProcess.Terminate);
        for (long start = Stopwatch.GetTimestamp(); Processes(name).Any() && Stopwatch.GetElapsedTime(start) < s_serverLimit;) Thread.Sleep(s_poll);
        foreach ((int id, _) in Processes(name)) _ = ServerProcess.SendSignal(id, Kill);
        return servers.Length > 0;
    }

    /// <summary>Processes with the name in their command line, but for this one and the supervisor.</summary>
    private static IEnumerable<(int Id, string Program)> Processes(string name)
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out int id) || id == Environment.ProcessId) continue;
            string[] commandLine;
            try
            {
                commandLine = File.ReadAllText(Path.Combine(folder, "cmdline"), Encoding.UTF8).Split('\0', StringSplitOptions.RemoveEmptyEntries);
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                continue;
            }

            if (commandLine.Length == 0 || Supervisor.IsOne(commandLine)) continue;
            if (commandLine.Any(part => part.Contains(name, StringComparison.Ordinal))) yield return (id, Path.GetFileName(commandLine[0]));
        }
    }

    // The deepest first: what is mounted later stands on what was mounted earlier.
    private static IEnumerable<(string Path, bool IsFuse)> Mounts(string name) => File.ReadLines("/proc/self/mountinfo").Reverse()
        .Select(line => (Point: line.Split(' ')[4], Type: line[(line.IndexOf(" - ", StringComparison.Ordinal) + 3)..].Split(' ')[0]))
        .Where(mount => mount.Point.Contains(name, StringComparison.Ordinal))
        .Select(mount => (mount.Point, mount.Type.StartsWith("fuse", StringComparison.Ordinal)));

    private static IEnumerable<string> LoopDevices(string name)
    {
        if (!Directory.Exists("/sys/block")) yield break;
        foreach (string device in Directory.EnumerateFileSystemEntries("/sys/block", "loop*"))
        {
            string file;
            try
            {
                file = File.ReadAllText(Path.Combine(device, "loop", "backing_file"));
            }
            catch (IOException)
            {
                // Nothing is behind it.
                continue;
            }

            if (file.Contains(name, StringComparison.Ordinal)) yield return "/dev/" + Path.GetFileName(device);
        }
    }

    private static bool Unmount(string path)
    {
        for (long start = Stopwatch.GetTimestamp(); FuseCalls.Unmount(path, 0) != 0; Thread.Sleep(s_poll))
        {
            if (Stopwatch.GetElapsedTime(start) < s_busyLimit) continue;
            _ = FuseCalls.Unmount(path, FuseCalls.UnmountDetach);
            break;
        }

        return true;
    }

    private static void RunQuietly(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.WaitForExit(s_serverLimit);
    }

    private static void DeleteFolder(string root)
    {
        try
        {
            Directory.Delete(root, recursive: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // What is still mounted below must not be deleted, and is told.
            throw new DiagnosticException("SP4204", "something is left of the evaluation", root, found: failure.Message.TrimEnd('.'), fix: "see 'mount', 'losetup -a' and 'ps' for that name; the next evaluation tries again", inner: failure);
        }
    }
}
