using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Bytes of a device that are not what was written there.</summary>
/// <param name="Kind">How they came about.</param>
/// <param name="Device">Which device.</param>
/// <param name="Patches">What is there instead, none past the device's end.</param>
/// <param name="Text">For a report: what was hit.</param>
internal sealed record Damage(FaultKind Kind, int Device, IReadOnlyList<(long Offset, byte[] Bytes)> Patches, string Text)
{
    /// <summary>What cannot be read; null when everything can.</summary>
    public UnreadableRange? Unreadable { get; init; }

    /// <summary>Something should tell: a checksum, an error of the device, or a log that brings it home again.</summary>
    public bool IsProtected { get; init; } = true;

    /// <summary>It can be read again later.</summary>
    public bool IsPassing => Kind == FaultKind.UnreadableSector;

    /// <summary>Does it to a device.</summary>
    public void Apply(Machine machine)
    {
        foreach ((long offset, byte[] bytes) in Patches) machine.Devices[Device].Image.Write(offset, bytes);
    }

    /// <summary>Whether a range of a device is hit.</summary>
    public bool Hits(int device, long offset, long length)
    {
        if (device != Device) return false;
        foreach ((long at, byte[] bytes) in Patches) if (at < offset + length && offset < at + bytes.Length) return true;
        return false;
    }

    /// <summary>The sectors that it changes, as they were and as they are.</summary>
    /// <param name="before">The device before it.</param>
    public IEnumerable<(byte[] Before, byte[] After)> Sectors(byte[] before)
    {
        var changed = new Dictionary<long, byte[]>();
        foreach ((long offset, byte[] bytes) in Patches)
        {
            for (int i = 0; i < bytes.Length; i++)
            {
                long start = (offset + i) / GuestHistory.SectorBytes * GuestHistory.SectorBytes;
                if (!changed.TryGetValue(start, out byte[]? after)) changed.Add(start, after = Sector(before, start));
                after[offset + i - start] = bytes[i];
            }
        }

        foreach ((long start, byte[] after) in changed) yield return (Sector(before, start), after);
    }

    private static byte[] Sector(byte[] device, long start)
    {
        byte[] sector = new byte[GuestHistory.SectorBytes];
        device.AsSpan((int)start, (int)Math.Min(sector.Length, device.Length - start)).CopyTo(sector);
        return sector;
    }
}
