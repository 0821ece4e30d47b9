using StoragePlugins.CrashKit.Media;

namespace StoragePlugins.CrashKit.Models;

/// <summary>A moment at which the power may go, with all that it would decide about.</summary>
internal sealed class CrashPoint
{
    private readonly long[][] _epochs;
    private readonly int[] _lengths;

    public CrashPoint(long tick, Machine machine, ulong baseHash, List<Slot> slots)
    {
        (Tick, Machine, BaseHash, Slots) = (tick, machine, baseHash, slots);
        _lengths = [.. Enumerable.Range(0, slots.Count).Where(i => slots[i].IsLength)];
        int devices = machine.Devices.Count;
        var epochs = new SortedSet<long>[devices];
        for (int d = 0; d < devices; d++) epochs[d] = [];
        foreach (Slot slot in slots)
            foreach (SlotVersion version in slot.Versions.Skip(1)) if (version.FirstEpoch != long.MinValue) epochs[slot.Device].Add(version.FirstEpoch);
        _epochs = [.. epochs.Select(set => set.Count == 0 ? [0L] : set.ToArray())];
    }

    /// <summary>The moment on the trace's clock: what was submitted at or before it was submitted.</summary>
    public long Tick { get; }

    /// <summary>The durable base. A trial on it is one state.</summary>
    public Machine Machine { get; }

    public ulong BaseHash { get; }

    public IReadOnlyList<Slot> Slots { get; }

    /// <summary>Per device, the epochs that the power cut can fall into; one for a device without barriers.</summary>
    public IReadOnlyList<IReadOnlyList<long>> Epochs => _epochs;

    /// <summary>The choice of the newest epoch everywhere, everything lost that can be.</summary>
    public StateChoice Oldest(IReadOnlyList<long> epochs) => new(epochs, [.. Slots.Select(slot => slot.FloorIn(epochs[slot.Device]))]);

    public StateChoice Newest(IReadOnlyList<long> epochs) => new(epochs, [.. Slots.Select(slot => slot.CeilingIn(epochs[slot.Device]))]);

    /// <summary>The newest epochs of all devices.</summary>
    public long[] LastEpochs() => [.. _epochs.Select(list => list[^1])];

    public ulong HashOf(StateChoice choice)
    {
        ulong hash = BaseHash;
        for (int i = 0; i < Slots.Count; i++) hash ^= Slots[i].Versions[choice.Versions[i]].HashDelta;
        return hash;
    }

    /// <summary>Makes the machine's devices what the power cut left. Inside a trial.</summary>
    public void Apply(StateChoice choice)
    {
        IReadOnlyList<Device> devices = Machine.Devices;
        foreach (int i in _lengths) SetLength(devices[Slots[i].Device].Image, Slots[i], choice.Versions[i]);
        Span<long> lengths = stackalloc long[Machine.MaxDevices];
        for (int d = 0; d < devices.Count; d++) lengths[d] = devices[d].Image.Length;
        for (int i = 0; i < Slots.Count; i++)
        {
            Slot slot = Slots[i];
            if (slot.IsLength || choice.Versions[i] == 0) continue;
            SlotVersion version = slot.Versions[choice.Versions[i]];
            long end = Math.Min(lengths[slot.Device], EndBefore(slot, version, choice));
            int there = (int)Math.Clamp(end - slot.Offset, 0, version.Content.Length);
            devices[slot.Device].Image.Write(slot.Offset, version.Content.Span[..there]);
        }
    }

    // A file that was cut and grew again reads as zeros between.
    private static void SetLength(DeviceImage image, Slot lengths, int chosen)
    {
        for (int v = 1; v <= chosen; v++)
        {
            long length = LengthOf(lengths.Versions[v]);
            if (length < image.Length || v == chosen) image.SetLength(length);
        }
    }

    // What was written before a cut that persisted went with it.
    private long EndBefore(Slot slot, in SlotVersion version, StateChoice choice)
    {
        long end = long.MaxValue;
        foreach (int i in _lengths)
        {
            if (Slots[i].Device != slot.Device) continue;
            for (int v = 1; v <= choice.Versions[i]; v++)
            {
                SlotVersion length = Slots[i].Versions[v];
                if (length.Cause!.Kind == Recording.TraceKind.SetLength && length.Cause.Index > version.Cause!.Index) end = Math.Min(end, LengthOf(length));
            }
        }

        return end;
    }

    private static long LengthOf(in SlotVersion version) => BitConverter.ToInt64(version.Content.Span);
}

/// <summary>One state of a crash point: the epoch each device was in, and the version of each slot.</summary>
internal sealed record StateChoice(IReadOnlyList<long> Epochs, int[] Versions);
