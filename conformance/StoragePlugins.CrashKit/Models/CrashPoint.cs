using StoragePlugins.CrashKit.Media;

namespace StoragePlugins.CrashKit.Models;

/// <summary>A moment at which the power may go, with all that it would decide about.</summary>
internal sealed class CrashPoint
{
    private readonly long[][] _epochs;

    public CrashPoint(long tick, Machine machine, ulong baseHash, List<Slot> slots)
    {
        (Tick, Machine, BaseHash, Slots) = (tick, machine, baseHash, slots);
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
        Span<long> lengths = stackalloc long[Machine.MaxDevices];
        for (int d = 0; d < devices.Count; d++) lengths[d] = devices[d].Image.Length;
        for (int i = 0; i < Slots.Count; i++) if (Slots[i].IsLength) lengths[Slots[i].Device] = BitConverter.ToInt64(Slots[i].Versions[choice.Versions[i]].Content.Span);
        for (int d = 0; d < devices.Count; d++) if (lengths[d] != devices[d].Image.Length) devices[d].Image.SetLength(lengths[d]);
        for (int i = 0; i < Slots.Count; i++)
        {
            Slot slot = Slots[i];
            if (slot.IsLength || choice.Versions[i] == 0) continue;
            ReadOnlySpan<byte> content = slot.Versions[choice.Versions[i]].Content.Span;
            int there = (int)Math.Clamp(lengths[slot.Device] - slot.Offset, 0, content.Length);
            devices[slot.Device].Image.Write(slot.Offset, content[..there]);
        }
    }
}

/// <summary>One state of a crash point: the epoch each device was in, and the version of each slot.</summary>
internal sealed record StateChoice(IReadOnlyList<long> Epochs, int[] Versions);
