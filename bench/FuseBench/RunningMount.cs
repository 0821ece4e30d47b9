using System.Diagnostics;
using System.Globalization;

namespace StoragePlugins.FuseBench;

/// <summary>A contender at work. Disposing unmounts it and waits for its end.</summary>
internal sealed class RunningMount : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _image;
    private readonly string _point;

    private RunningMount(Process process, string image, string point, string file) => (_process, _image, _point, File) = (process, image, point, file);

    /// <summary>Where the load goes.</summary>
    public string File { get; }

    public static RunningMount Start(Contender contender, string folder, int mebibytes)
    {
        string image = Path.Combine(folder, "image"), point = Path.Combine(folder, "point");
        if (contender.File.Length == 0) System.IO.File.WriteAllBytes(point, []);
        else Directory.CreateDirectory(point);
        using (Process prepare = Shell(contender.Prepare, image, point, mebibytes))
        {
            prepare.WaitForExit();
            if (prepare.ExitCode != 0) throw new InvalidOperationException($"{contender.Name}: {contender.Prepare} failed");
        }

        Process process = Shell(contender.Mount, image, point, mebibytes);
        var watch = Stopwatch.StartNew();
        while (!IsMounted(point))
        {
            if ((process.HasExited && process.ExitCode != 0) || watch.Elapsed > s_timeout) throw new InvalidOperationException($"{contender.Name} was not mounted");
            Thread.Sleep(10);
        }

        return new RunningMount(process, image, point, contender.File.Length == 0 ? point : Path.Combine(point, contender.File));
    }

    public void Dispose()
    {
        using (Process unmount = Process.Start("umount", [_point])) unmount.WaitForExit();
        // QEMU goes on without its mount.
        if (!_process.WaitForExit(TimeSpan.FromSeconds(1)))
        {
            using (Process kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)])) kill.WaitForExit();
            if (!_process.WaitForExit(s_timeout)) _process.Kill();
        }

        _process.Dispose();
        if (System.IO.File.Exists(_point)) System.IO.File.Delete(_point);
        else Directory.Delete(_point);
        System.IO.File.Delete(_image);
    }

    private static Process Shell(string line, string image, string point, int mebibytes)
    {
        var start = new ProcessStartInfo("sh", ["-c", line + " >/dev/null 2>&1"]);
        start.Environment["IMAGE"] = image;
        start.Environment["POINT"] = point;
        start.Environment["MIB"] = mebibytes.ToString(CultureInfo.InvariantCulture);
        return Process.Start(start)!;
    }

    private static bool IsMounted(string path) => System.IO.File.ReadLines("/proc/self/mountinfo").Any(line => line.Split(' ')[4] == path);
}
