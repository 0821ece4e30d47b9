using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>What a device holds when everything that was asked of it was done, except one write.</summary>
internal static class DeviceReplay
{
    /// <summary>The device's bytes.</summary>
    /// <param name="start">Before the trace.</param>
    /// <param name="trace">What was asked.</param>
    /// <param name="device">Of which device.</param>
    /// <param name="tick">Up to when.</param>
    /// <param name="erring">The write that goes wrong; null for none.</param>
    /// <param name="landsAt">Where it goes instead; null for nowhere.</param>
    public static byte[] Run(Machine start, Trace trace, int device, long tick, TraceEvent? erring = null, long? landsAt = null)
    {
        var image = new DeviceImage(start.Devices[device].Image.ToArray());
        foreach (TraceEvent entry in trace.Events)
        {
            if (entry.Device != device || entry.Begin > tick) continue;
            if (entry != erring) Do(image, entry, entry.Offset);
            else if (landsAt is { } there) Do(image, entry, there);
        }

        return image.ToArray();
    }

    /// <summary>The sectors in which two contents of a device differ, as they are in the second; none past the first's end.</summary>
    public static IReadOnlyList<(long Offset, byte[] Bytes)> Difference(byte[] right, byte[] wrong, int sectorBytes)
    {
        var patches = new List<(long, byte[])>();
        for (int at = 0; at < right.Length; at += sectorBytes)
        {
            int there = Math.Min(sectorBytes, right.Length - at);
            byte[] bytes = new byte[there];
            if (at < wrong.Length) wrong.AsSpan(at, Math.Min(there, wrong.Length - at)).CopyTo(bytes);
            if (!bytes.AsSpan().SequenceEqual(right.AsSpan(at, there))) patches.Add((at, bytes));
        }

        return patches;
    }

    private static void Do(DeviceImage image, TraceEvent entry, long offset)
    {
        switch (entry.Kind)
        {
            case TraceKind.Write or TraceKind.Store or TraceKind.StoreNonTemporal:
                image.Write(offset, entry.Data.Span);
                break;
            case TraceKind.Zero:
                if (entry.Content == ContentClass.Preallocation) image.Extend(offset + entry.Length);
                image.Zero(offset, entry.Length);
                break;
            case TraceKind.SetLength:
                image.SetLength(offset);
                break;
        }
    }
}
