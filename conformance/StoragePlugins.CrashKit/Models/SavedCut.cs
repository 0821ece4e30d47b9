namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// A choice at a crash point, by what it decides and not by indices into memory: it can be written down, and taken to a point of the same shape.
/// </summary>
/// <param name="Tick">The crash point.</param>
/// <param name="Epochs">Per device, the epoch that the power cut fell into.</param>
/// <param name="Slots">How many slots the point has.</param>
/// <param name="Shape">A hash of the slots' places and of the causes of their versions; their bytes do not enter, for recoveries may draw salts.</param>
/// <param name="Deviations">The slots that are not in their newest version.</param>
internal sealed record SavedCut(long Tick, long[] Epochs, int Slots, ulong Shape, SavedSlot[] Deviations)
{
    /// <summary>Writes a choice down.</summary>
    public static SavedCut Of(CrashPoint point, StateChoice choice)
    {
        StateChoice newest = point.Newest(choice.Epochs);
        return new SavedCut(point.Tick, [.. choice.Epochs], point.Slots.Count, ShapeOf(point), [.. Enumerable.Range(0, point.Slots.Count)
            .Where(i => choice.Versions[i] != newest.Versions[i]).Select(i => new SavedSlot(i, point.Slots[i].Device, point.Slots[i].Offset, choice.Versions[i]))]);
    }

    /// <summary>The choice at a point of the same shape; null when the point has another.</summary>
    public StateChoice? ResolveAt(CrashPoint point)
    {
        if (Epochs.Length != point.Machine.Devices.Count || Slots != point.Slots.Count || Shape != ShapeOf(point)) return null;
        StateChoice choice = point.Newest(Epochs);
        int[] versions = [.. choice.Versions];
        foreach (SavedSlot saved in Deviations)
        {
            if (saved.Index < 0 || saved.Index >= Slots) return null;
            Slot slot = point.Slots[saved.Index];
            if (slot.Device != saved.Device || slot.Offset != saved.Offset || saved.Version < slot.FloorIn(Epochs[slot.Device]) || saved.Version > versions[saved.Index]) return null;
            versions[saved.Index] = saved.Version;
        }

        return choice with { Epochs = Epochs, Versions = versions };
    }

    private static ulong ShapeOf(CrashPoint point)
    {
        ulong shape = 0x9e37_79b9_7f4a_7c15;
        void Mix(long value) => shape = (System.Numerics.BitOperations.RotateLeft(shape, 23) ^ (ulong)value) * 0xbf58_476d_1ce4_e5b9;
        foreach (Slot slot in point.Slots)
        {
            Mix(slot.Device);
            Mix(slot.Offset);
            Mix(slot.IsLength ? -1 : slot.Versions[0].Content.Length);
            foreach (SlotVersion version in slot.Versions) Mix(version.Cause?.Index ?? -1);
        }

        return shape;
    }
}

/// <summary>One slot of a <see cref="SavedCut"/>.</summary>
internal readonly record struct SavedSlot(int Index, int Device, long Offset, int Version);
