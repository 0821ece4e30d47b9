using System.Runtime.InteropServices;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>Where figures come from: without it they mean nothing.</summary>
/// <param name="Processor">Model of the first CPU.</param>
/// <param name="Processors">How many.</param>
/// <param name="Kernel">As uname says.</param>
/// <param name="Runtime">.NET's version.</param>
/// <param name="Load">Average of the last minute before the run: other work on the machine.</param>
/// <param name="Date">Of the run.</param>
internal sealed record MachineFacts(string Processor, int Processors, string Kernel, string Runtime, string Load, string Date)
{
    public static MachineFacts Read() => new(
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown",
        Environment.ProcessorCount,
        File.ReadAllText("/proc/sys/kernel/osrelease").Trim(),
        RuntimeInformation.FrameworkDescription,
        File.ReadAllText("/proc/loadavg").Split(' ')[0],
        DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", System.Globalization.CultureInfo.InvariantCulture) + " UTC");

    public override string ToString() => $"{Processor}, {Processors} CPUs; Linux {Kernel}; {Runtime}; load before the run {Load}; {Date}";
}
