namespace StoragePlugins.Media;

/// <summary>Asks sysfs what the block device under a file says of its volatile write cache (queue/write_cache).</summary>
internal static class DeviceWriteCache
{
    /// <summary>Unknown where there is no single device to ask (network and stacked file systems, tmpfs).</summary>
    public static WriteCacheKind Of(string path)
    {
        if (UnixFile.Status(path) is not { } status) return WriteCacheKind.Unknown;
        ulong device = status.IsBlockDevice ? status.OwnDevice : status.Device;
        string link = $"/sys/dev/block/{device >> 32}:{(uint)device}";
        if (!Directory.Exists(link)) return WriteCacheKind.Unknown;
        string node = Directory.ResolveLinkTarget(link, returnFinalTarget: true)?.FullName ?? link;
        // A partition has no queue of its own: its parent has.
        foreach (string queue in (string[])[Path.Combine(node, "queue/write_cache"), Path.Combine(Path.GetDirectoryName(node)!, "queue/write_cache")])
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
