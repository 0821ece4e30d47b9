using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Makes damage of one state at random: each class of content is hit as often as any other. Not thread-safe.</summary>
internal sealed class DamageMaker
{
    private const int SectorBytes = 512;
    private const int LineBytes = 64;

    private readonly WorkloadRun _run;
    private readonly CrashPoint _point;
    private readonly SoundState _sound;
    private readonly Random _random;
    private readonly ContentClass[][] _classes;
    private readonly TraceEvent[][] _written;
    private readonly TraceEvent[][] _durable;
    private readonly Slot[] _inFlight;

    /// <summary>A maker.</summary>
    /// <param name="run">What happened.</param>
    /// <param name="point">Where the power went.</param>
    /// <param name="choice">What it left.</param>
    /// <param name="sound">The same, without damage.</param>
    /// <param name="random">Seeded.</param>
    public DamageMaker(WorkloadRun run, CrashPoint point, StateChoice choice, SoundState sound, Random random)
    {
        (_run, _point, _sound, _random) = (run, point, sound, random);
        TraceEvent[] before = [.. run.Trace.Events.Where(entry => entry.Begin <= sound.Tick && !entry.Data.IsEmpty && entry.Offset + entry.Length <= sound.Devices[entry.Device].Length)];
        _written = [.. before.GroupBy(entry => entry.Content).Select(group => group.ToArray())];
        // Only of the newest state is it known what it would be without one write.
        bool isNewest = choice.Versions.SequenceEqual(point.Newest(point.LastEpochs()).Versions);
        TraceEvent[] flushes = [.. run.Trace.Events.Where(entry => entry is { Kind: TraceKind.Flush, HasFailed: false } && entry.End <= sound.Tick)];
        _durable = isNewest
            ? [.. before.Where(entry => entry.Kind == TraceKind.Write && !IsMapped(entry.Device) && Array.Exists(flushes, flush => flush.Device == entry.Device && flush.Begin >= entry.End))
                .GroupBy(entry => entry.Content).Select(group => group.ToArray())]
            : [];
        _inFlight = [.. point.Slots.Where(slot => !slot.IsLength && !IsMapped(slot.Device) && slot.FloorIn(choice.Epochs[slot.Device]) < slot.CeilingIn(choice.Epochs[slot.Device])
            && slot.Offset + slot.Versions[0].Content.Length <= sound.Devices[slot.Device].Length)];
        _classes = ClassesOf(before);
    }

    /// <summary>Damage of a kind; null where there is nothing to hit.</summary>
    public Damage? Make(FaultKind kind) => kind switch
    {
        FaultKind.UnreadableSector => Unreadable(kind, isMapped: false),
        FaultKind.PoisonedLine => Unreadable(kind, isMapped: true),
        FaultKind.GarbageSector or FaultKind.LostSector => InFlight(kind),
        FaultKind.MisdirectedWrite or FaultKind.LostWrite => Erring(kind),
        FaultKind.BitRot or FaultKind.SectorRot => Rot(kind),
        _ => null,
    };

    private bool IsMapped(int device) => _point.Machine.Devices[device].Domain is not null;

    private bool IsProtectedPlace(int device, long offset) => IsProtected(device, _classes[device][offset / SectorBytes]);

    // Records have checksums; the format's tables have none.
    private bool IsProtected(int device, ContentClass content) => content is ContentClass.JournalRecord or ContentClass.JournalHeader || IsMapped(device);

    private ContentClass[][] ClassesOf(TraceEvent[] events)
    {
        ContentClass[][] classes = [.. _sound.Devices.Select(bytes => new ContentClass[(bytes.Length / SectorBytes) + 1])];
        foreach (TraceEvent entry in events)
            for (long s = entry.Offset / SectorBytes; s * SectorBytes < entry.Offset + entry.Length; s++) classes[entry.Device][s] = entry.Content;
        return classes;
    }

    private string Name(int device, long offset) => IsMapped(device) ? $"memory at 0x{offset:x} of {_point.Machine.Devices[device].Name}" : $"{_classes[device][offset / SectorBytes]} at 0x{offset:x} of {_point.Machine.Devices[device].Name}";

    private T? Any<T>(IReadOnlyList<T> items) => items.Count == 0 ? default : items[_random.Next(items.Count)];

    private Damage? Unreadable(FaultKind kind, bool isMapped)
    {
        (int Device, long Offset)[] candidates = [.. _sound.Read.Where(place => IsMapped(place.Device) == isMapped)];
        // Half of the time metadata: most of what is read is the guest's data.
        (int, long)[] metadata = _random.Next(2) == 0 ? [.. candidates.Where(place => _classes[place.Device][place.Offset / SectorBytes] != ContentClass.GuestData)] : [];
        if (candidates.Length == 0) return null;
        (int device, long offset) = metadata.Length > 0 ? Any(metadata) : Any(candidates);
        return new Damage(kind, device, [], $"{(isMapped ? "poisoned" : "unreadable")} {Name(device, offset)}") { Unreadable = new UnreadableRange(device, offset, isMapped ? LineBytes : SectorBytes) };
    }

    private Damage? InFlight(FaultKind kind)
    {
        if (Any(_inFlight) is not { } slot) return null;
        int bytes = slot.Versions[0].Content.Length;
        var damage = new Damage(kind, slot.Device, [(slot.Offset, Garbage(bytes))], $"{(kind == FaultKind.LostSector ? "unreadable" : "garbage in")} {Name(slot.Device, slot.Offset)}, which was under write")
        {
            // What a checkpoint had under way is in the log, and data has no promise but to be old or new; a table that is written in place has no second copy.
            IsProtected = slot.Versions.All(version => version.Cause is null || IsProtected(slot.Device, version.Cause.Content)
                || version.Cause.Content is ContentClass.Checkpoint or ContentClass.GuestData),
        };
        return kind == FaultKind.LostSector ? damage with { Unreadable = new UnreadableRange(slot.Device, slot.Offset, bytes) } : damage;
    }

    private Damage? Erring(FaultKind kind)
    {
        if (Any(_durable) is not { } group) return null;
        TraceEvent erring = Any(group)!;
        byte[] right = _sound.Devices[erring.Device];
        long? landsAt = kind == FaultKind.LostWrite ? null : OtherPlace(erring, right.Length);
        if (kind == FaultKind.MisdirectedWrite && landsAt is null) return null;
        byte[] wrong = DeviceReplay.Run(_run.Start, _run.Trace, erring.Device, _sound.Tick, erring, landsAt);
        string where = landsAt is { } there ? $"went to 0x{there:x} ({_classes[erring.Device][there / SectorBytes]})" : "was lost";
        IReadOnlyList<(long, byte[])> patches = DeviceReplay.Difference(right, wrong, SectorBytes);
        return patches.Count == 0 ? null : new Damage(kind, erring.Device, patches, $"{erring} {where}") { IsProtected = IsProtected(erring.Device, erring.Content) && patches.All(patch => IsProtectedPlace(erring.Device, patch.Item1)) };
    }

    // Another aligned place of the device; half of the time one that holds something of another class.
    private long? OtherPlace(TraceEvent erring, int deviceBytes)
    {
        long last = deviceBytes - erring.Length;
        if (last < SectorBytes) return null;
        long place = _random.Next(2) == 0 ? Any(Any(_written)!)!.Offset : _random.NextInt64(last);
        place = Math.Min(place, last) / SectorBytes * SectorBytes;
        place += erring.Offset % SectorBytes;
        return place == erring.Offset || place + erring.Length > deviceBytes ? null : place;
    }

    private Damage? Rot(FaultKind kind)
    {
        if (_written.Length == 0) return null;
        TraceEvent hit = Any(Any(_written)!)!;
        long at = hit.Offset + _random.NextInt64(hit.Length);
        byte[] device = _sound.Devices[hit.Device];
        if (kind == FaultKind.BitRot) return new Damage(kind, hit.Device, [(at, [(byte)(device[at] ^ (1 << _random.Next(8)))])], $"a bit flipped in {Name(hit.Device, at)}") { IsProtected = IsProtectedPlace(hit.Device, at) };
        int unit = IsMapped(hit.Device) ? LineBytes : SectorBytes;
        at = at / unit * unit;
        return new Damage(kind, hit.Device, [(at, Garbage((int)Math.Min(unit, device.Length - at)))], $"garbage in {Name(hit.Device, at)}") { IsProtected = IsProtectedPlace(hit.Device, at) };
    }

    private byte[] Garbage(int length)
    {
        byte[] bytes = new byte[length];
        _random.NextBytes(bytes);
        return bytes;
    }
}
