using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Comparison;

/// <summary>Where figures come from: without it they mean nothing.</summary>
internal sealed record HostFacts
{
    // Enough for a median, and over in less than a second on a device with 5 ms a flush.
    private const int FlushSamples = 100;

    /// <summary>Host name.</summary>
    public required string Machine { get; init; }

    /// <summary>Model name of the first CPU.</summary>
    public required string Processor { get; init; }

    /// <summary>CPUs that this process may use.</summary>
    public required int Processors { get; init; }

    /// <summary>Bytes of memory that this process may use.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Release and build of the kernel.</summary>
    public required string Kernel { get; init; }

    /// <summary>The distribution.</summary>
    public required string System { get; init; }

    /// <summary>Where the images are made.</summary>
    public required string Directory { get; init; }

    /// <summary>Its file system's type.</summary>
    public required string FileSystem { get; init; }

    /// <summary>Its device, as mounted.</summary>
    public required string Device { get; init; }

    /// <summary>What the device says of its write cache.</summary>
    public required WriteCacheKind DeviceCache { get; init; }

    /// <summary>Median of write + fdatasync, 4 KiB over and over at one place, in µs.</summary>
    public required double OverwriteFlushMicroseconds { get; init; }

    /// <summary>Median of write + fdatasync, 64 KiB at the end of a growing file, in µs.</summary>
    public required double AppendFlushMicroseconds { get; init; }

    /// <summary>For people: name and value.</summary>
    public IEnumerable<(string Name, string Value)> Lines() =>
    [
        ("machine", string.Create(CultureInfo.InvariantCulture, $"{Machine}, {Processors} × {Processor}, {MemoryBytes / (double)(1L << 30):0.#} GiB")),
        ("system", $"{System}, {Kernel}"),
        ("images in", $"{Directory}, {FileSystem} on {Device}, device cache {DeviceCache.ToString().ToLowerInvariant()}"),
        ("flush costs", string.Create(CultureInfo.InvariantCulture, $"{OverwriteFlushMicroseconds:0} µs for 4 KiB over and over, {AppendFlushMicroseconds:0} µs for 64 KiB at the end of a growing file")),
    ];

    /// <summary>Looks, and measures what a flush costs here.</summary>
    /// <param name="folder">Where the images will be.</param>
    public static HostFacts Of(string folder)
    {
        (string fileSystem, string device) = MountOf(folder);
        return new HostFacts
        {
            Machine = Environment.MachineName,
            Processor = FirstLine("/proc/cpuinfo", "model name") ?? RuntimeInformation.OSArchitecture.ToString(),
            Processors = Environment.ProcessorCount,
            MemoryBytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            Kernel = $"{ReadLine("/proc/sys/kernel/ostype")} {ReadLine("/proc/sys/kernel/osrelease")} {ReadLine("/proc/sys/kernel/version")}",
            System = RuntimeInformation.OSDescription,
            Directory = folder,
            FileSystem = fileSystem,
            Device = device,
            DeviceCache = DeviceWriteCache.Of(folder),
            OverwriteFlushMicroseconds = MeasureFlush(folder, 4096, step: 0),
            AppendFlushMicroseconds = MeasureFlush(folder, Workload.BlockBytes, step: Workload.BlockBytes),
        };
    }

    private static double MeasureFlush(string folder, int bytes, int step)
    {
        string path = Path.Combine(folder, "flush-cost");
        byte[] data = new byte[bytes];
        double[] microseconds = new double[FlushSamples];
        using (SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write))
        {
            for (int i = 0; i < FlushSamples; i++)
            {
                long start = Stopwatch.GetTimestamp();
                RandomAccess.Write(file, data, (long)i * step);
                if (Libc.FDataSync(file) != 0) throw new StorageException(StorageError.Io, "fdatasync", path, -1, 0, Libc.ErrorText(Marshal.GetLastPInvokeError()));
                microseconds[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            }
        }

        File.Delete(path);
        return Quantiles.Median(microseconds);
    }

    private static string ReadLine(string file) => File.Exists(file) ? File.ReadAllText(file).Trim() : "unknown";

    private static string? FirstLine(string file, string key)
        => File.Exists(file) ? File.ReadLines(file).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal))?.Split(':', 2)[^1].Trim() : null;

    // The mount with the longest path that the folder lies in; fields as in proc(5): … mount point (5th), after " - ": type, source.
    private static (string Type, string Device) MountOf(string folder)
    {
        string path = Path.GetFullPath(folder) + "/";
        (string Point, string Type, string Device) best = ("", "unknown", "unknown");
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string[] sides = line.Split(" - ", 2);
            string[] left = sides[0].Split(' ');
            string[] right = sides[^1].Split(' ');
            if (left.Length < 5 || right.Length < 2) continue;
            string point = left[4].Replace("\\040", " ", StringComparison.Ordinal);
            bool isAbove = path.StartsWith(point.EndsWith('/') ? point : point + "/", StringComparison.Ordinal);
            if (isAbove && point.Length >= best.Point.Length) best = (point, right[0], right[1]);
        }

        return (best.Type, best.Device);
    }
}
