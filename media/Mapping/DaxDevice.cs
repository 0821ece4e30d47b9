using System.Globalization;

namespace StoragePlugins.Media.Mapping;

/// <summary>What sysfs says of persistent memory under a file.</summary>
internal static class DaxDevice
{
    private const string SysFs = "/sys";

    /// <summary>Length and alignment of a character device of the dax class (/dev/dax0.0): the device itself tells neither.</summary>
    /// <param name="device">Major number in the upper half, minor in the lower.</param>
    /// <param name="sysFs">Where sysfs is mounted.</param>
    /// <returns>Null when it is no such device.</returns>
    public static (long Length, long Alignment)? Describe(ulong device, string sysFs = SysFs)
    {
        string node = $"{sysFs}/dev/char/{device >> 32}:{(uint)device}";
        if (ReadLong($"{node}/size") is not { } length) return null;
        return (length, ReadLong($"{node}/align") ?? ReadLong($"{node}/device/align") ?? (2L << 20));
    }

    /// <summary>Whether the platform flushes CPU caches at a power cut: an ancestor of the device says "cpu_cache" (libnvdimm regions do).</summary>
    public static bool FlushesCaches(ulong device, bool isCharacterDevice, string sysFs = SysFs)
    {
        string link = $"{sysFs}/dev/{(isCharacterDevice ? "char" : "block")}/{device >> 32}:{(uint)device}";
        if (!Directory.Exists(link)) return false;
        string? node = Directory.ResolveLinkTarget(link, returnFinalTarget: true)?.FullName ?? link;
        for (; node is not null && node.Length > sysFs.Length; node = Path.GetDirectoryName(node))
        {
            string file = Path.Combine(node, "persistence_domain");
            if (File.Exists(file)) return File.ReadAllText(file).Trim() == "cpu_cache";
        }

        return false;
    }

    private static long? ReadLong(string path)
    {
        if (!File.Exists(path)) return null;
        string text = File.ReadAllText(path).Trim();
        return text.StartsWith("0x", StringComparison.Ordinal)
            ? long.TryParse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long hex) ? hex : null
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : null;
    }
}
