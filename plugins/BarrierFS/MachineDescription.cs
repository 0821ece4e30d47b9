using StoragePlugins.BarrierFS.Kernel;

namespace StoragePlugins.BarrierFS;

/// <summary>What <c>plugins show barrierfs</c> says of this machine. Asks the kernel only what it says of itself: no system call number is tried.</summary>
internal static class MachineDescription
{
    /// <summary>Where the kernel lists block devices.</summary>
    public const string SysBlock = "/sys/block";

    private const string WriteThrough = "write through";

    /// <summary>A list of devices longer than this is cut: machines have hundreds of loop devices.</summary>
    private const int MaxDevices = 16;

    public static IReadOnlyList<MachineFact> Of(IKernel kernel, string sysBlock)
    {
        string? whyNot = BarrierCall.WhyNotBarrierFS(kernel);
        string[] devices = [.. WriteThroughDevices(sysBlock)];
        string otherwise = devices.Length > 0 ? "write-through for images on such a device, else deferred" : "deferred";
        return
        [
            new MachineFact("auto", whyNot is null ? $"kernel when the option 'syscall' is set ({BarrierCall.Published} in the published kernel), else {otherwise}" : otherwise),
            new MachineFact("kernel", whyNot is null ? $"looks like a BarrierFS kernel ({kernel.Release}); proved when an image is opened" : $"not possible: {whyNot}"),
            new MachineFact("write-through", devices.Length > 0
                ? $"possible on {string.Join(", ", devices.Take(MaxDevices))}{(devices.Length > MaxDevices ? ", …" : "")}: no volatile cache"
                : "not possible: no device says that it has no volatile cache"),
            new MachineFact("deferred", "possible on every medium that can be flushed"),
        ];
    }

    private static IEnumerable<string> WriteThroughDevices(string sysBlock)
    {
        if (!Directory.Exists(sysBlock)) yield break;
        foreach (string device in Directory.EnumerateFileSystemEntries(sysBlock).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(device);
            // Linux 3.10 has no write_cache file: nothing is known then.
            if (SizeOf(device) > 0 && Read(Path.Combine(device, "queue", "write_cache")) == WriteThrough) yield return name;
        }
    }

    private static long SizeOf(string device) => long.TryParse(Read(Path.Combine(device, "size")), out long sectors) ? sectors : 0;

    private static string Read(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path).Trim() : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
