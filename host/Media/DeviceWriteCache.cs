namespace StoragePlugins.Host.Media;

/// <summary>Asks sysfs what the block device under a file says of its volatile write cache (queue/write_cache).</summary>
internal static unsafe class DeviceWriteCache
{
    private const int CurrentDirectory = -100;
    private const uint TypeMask = 0xf000;
    private const uint BlockDevice = 0x6000;

    /// <summary>Unknown where there is no single device to ask (network and stacked file systems, tmpfs).</summary>
    public static WriteCacheKind Of(string path)
    {
        Libc.StatXBuffer stat;
        if (Libc.StatX(CurrentDirectory, path, 0, 0x7ff, &stat) != 0) return WriteCacheKind.Unknown;
        bool isDevice = (stat.Mode & TypeMask) == BlockDevice;
        string node = isDevice ? $"/sys/dev/block/{stat.RdevMajor}:{stat.RdevMinor}" : $"/sys/dev/block/{stat.DeviceMajor}:{stat.DeviceMinor}";
        // A partition has no queue of its own: its parent has.
        foreach (string queue in (string[])[node + "/queue/write_cache", node + "/../queue/write_cache"])
        {
            if (!File.Exists(queue)) continue;
            return File.ReadAllText(queue).Trim() switch
            {
                "write through" => WriteCacheKind.WriteThrough,
                "write back" => WriteCacheKind.Volatile,
                _ => WriteCacheKind.Unknown,
            };
        }

        return WriteCacheKind.Unknown;
    }
}
