using System.Runtime.InteropServices;
using StoragePlugins.Qcow2.Tests.Disk;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>Writes stamped sectors, works with snapshots, resizes, and knows what the image may show after a power cut at any event.</summary>
internal sealed class SnapshotGuest
{
    private const int Sector = 512;
    private const int MostSnapshots = 4;

    private readonly RecordingMedium _recorder;
    private readonly List<(int Event, ulong Stamp)>[] _history;
    private readonly List<(int Begin, int End, int Sectors)> _sizes = [];
    private readonly List<Taken> _snapshots = [];
    private readonly List<Applied> _applied = [];
    private readonly List<int> _flushes = [0];
    private readonly ulong[] _now;
    private ulong _stamp;
    private int _length;

    public SnapshotGuest(int sectors, int mostSectors, RecordingMedium recorder)
    {
        _recorder = recorder;
        _length = sectors;
        _now = new ulong[mostSectors];
        _history = [.. Enumerable.Range(0, mostSectors).Select(_ => new List<(int, ulong)> { (-1, 0) })];
        _sizes.Add((0, 0, sectors));
    }

    /// <summary>Snapshot operations and resizes done.</summary>
    public int Operations { get; private set; }

    private int Events => _recorder.Events.Count;

    public void Flushed() => _flushes.Add(Events);

    public void Step(IDiskImage image, Random random, int clusterSize)
    {
        IVirtualDisk disk = image.OpenDisk("");
        int first = random.Next(_length);
        int count = Math.Min(_length - first, random.Next(1, Math.Max(2, 6 * clusterSize / Sector)));
        List<Taken> present = [.. _snapshots.Where(s => s.DeletedBegin == int.MaxValue)];
        switch (random.Next(16))
        {
            case 0 or 1 when present.Count < MostSnapshots:
                Create((ISnapshotImage)image, present);
                break;
            case 2 when present.Count > 0:
                Apply((ISnapshotImage)image, present[random.Next(present.Count)]);
                break;
            case 3 when present.Count > 0:
                Delete((ISnapshotImage)image, present[random.Next(present.Count)]);
                break;
            case 4:
                Resize(disk, random.Next(200, _now.Length));
                break;
            case 5:
                Note(first, count, 0);
                if (random.Next(2) == 0) disk.GetCapability<IZeroingDisk>()!.WriteZeroes((long)first * Sector, (long)count * Sector, random.Next(2) == 0);
                else disk.GetCapability<IDiscardDisk>()!.Discard((long)first * Sector, (long)count * Sector);
                Settle(disk, first, count);
                break;
            case 6 or 7:
                disk.Flush();
                Flushed();
                break;
            default:
                byte[] data = new byte[count * Sector];
                Note(first, count, ++_stamp);
                for (int s = 0; s < count; s++) MemoryMarshal.Cast<byte, ulong>(data.AsSpan(s * Sector, Sector)).Fill(WordOf(first + s, _stamp));
                disk.Write((long)first * Sector, data);
                break;
        }
    }

    /// <summary>What an image shows that was opened after a power cut must be possible.</summary>
    public void AssertPossible(IDiskImage image, int cut, string where)
    {
        AssertSnapshots(image, cut, where);
        IVirtualDisk disk = image.OpenDisk("");
        int length = (int)(disk.Length / Sector);
        int oldestSize = _sizes.FindLastIndex(s => s.End <= cut);
        Assert.True(_sizes.Skip(oldestSize).Any(s => s.Begin <= cut && s.Sectors == length), $"{where}: the disk has {length} sectors");
        ulong[] shown = StampsOf(disk, where);
        int durable = _flushes.Last(f => f <= cut);
        for (int s = 0; s < length; s++)
        {
            List<(int Event, ulong Stamp)> history = _history[s];
            int oldest = history.FindLastIndex(h => h.Event < durable);
            Assert.True(history.Skip(Math.Max(0, oldest)).Any(h => h.Event <= cut && h.Stamp == shown[s]),
                $"{where}: sector {s} shows stamp {shown[s]}, may show {string.Join(",", history.Skip(Math.Max(0, oldest)))}; flushed at {durable}");
        }

        if (_applied.FirstOrDefault(a => a.Begin <= cut && cut < a.End) is { } applied) AssertWholeOrNot(applied, shown, durable, where);
    }

    private void Create(ISnapshotImage image, List<Taken> present)
    {
        int begin = Events;
        string name = $"s{_snapshots.Count}";
        image.CreateSnapshot(name);
        _snapshots.Add(new Taken(name, begin, Events, _now[.._length]));
        Assert.DoesNotContain(present, s => s.Name == name);
        Done();
    }

    private void Apply(ISnapshotImage image, Taken snapshot)
    {
        int begin = Events;
        int before = _length;
        for (int s = 0; s < _now.Length; s++) Note(s, 1, s < snapshot.Stamps.Length ? snapshot.Stamps[s] : 0, begin);
        image.ApplySnapshot(snapshot.Name);
        _length = snapshot.Stamps.Length;
        _sizes.Add((begin, Events, _length));
        _applied.Add(new Applied(begin, Events, before, snapshot.Stamps));
        Done();
    }

    private void Delete(ISnapshotImage image, Taken snapshot)
    {
        int begin = Events;
        image.DeleteSnapshot(snapshot.Name);
        _snapshots[_snapshots.IndexOf(snapshot)] = snapshot with { DeletedBegin = begin, DeletedEnd = Events };
        Done();
    }

    private void Resize(IVirtualDisk disk, int length)
    {
        int begin = Events;
        if (length < _length) Note(length, _now.Length - length, 0);
        disk.GetCapability<IResizableDisk>()!.Resize((long)length * Sector);
        _length = length;
        _sizes.Add((begin, Events, length));
        Done();
    }

    private void Done()
    {
        Flushed();
        Operations++;
    }

    private void AssertSnapshots(IDiskImage image, int cut, string where)
    {
        List<string> shown = [.. image.ListDisks("", 1000).Select(d => d.Name)];
        foreach (Taken snapshot in _snapshots)
        {
            bool must = snapshot.CreatedEnd <= cut && cut < snapshot.DeletedBegin;
            bool may = snapshot.CreatedBegin <= cut && cut < snapshot.DeletedEnd;
            bool isShown = shown.Remove(snapshot.Name);
            Assert.True(isShown ? may : !must, $"{where}: snapshot {snapshot.Name} is {(isShown ? "" : "not ")}there");
            if (isShown) Assert.True(snapshot.Stamps.SequenceEqual(StampsOf(image.OpenDisk(snapshot.Name), where)), $"{where}: snapshot {snapshot.Name} has changed");
        }

        Assert.Empty(shown);
    }

    /// <summary>A snapshot is applied to every sector, or to none.</summary>
    private void AssertWholeOrNot(Applied applied, ulong[] shown, int durable, string where)
    {
        bool? whole = applied.SectorsBefore == applied.Stamps.Length ? null : shown.Length == applied.Stamps.Length;
        for (int s = 0; s < Math.Min(shown.Length, Math.Min(applied.Stamps.Length, applied.SectorsBefore)); s++)
        {
            int last = _history[s].FindLastIndex(h => h.Event <= applied.Begin) - 1;
            int oldest = Math.Min(last, _history[s].FindLastIndex(h => h.Event < durable));
            // Where it could show the same without the snapshot it says nothing.
            if (_history[s].Skip(Math.Max(0, oldest)).Take(last - Math.Max(0, oldest) + 1).Any(h => h.Stamp == applied.Stamps[s])) continue;
            bool isApplied = shown[s] == applied.Stamps[s];
            Assert.True((whole ??= isApplied) == isApplied, $"{where}: the snapshot is applied to a part of the disk");
        }
    }

    private static ulong[] StampsOf(IVirtualDisk disk, string where)
    {
        byte[] bytes = new byte[disk.Length];
        disk.Read(0, bytes);
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        ulong[] stamps = new ulong[bytes.Length / Sector];
        for (int s = 0; s < stamps.Length; s++)
        {
            ReadOnlySpan<ulong> sector = words.Slice(s * (Sector / sizeof(ulong)), Sector / sizeof(ulong));
            Assert.True(sector.IndexOfAnyExcept(sector[0]) < 0, $"{where}: sector {s} is torn");
            stamps[s] = sector[0] >> 32;
            Assert.True(sector[0] == WordOf(s, stamps[s]), $"{where}: sector {s} shows sector {(uint)sector[0]}");
        }

        return stamps;
    }

    private static ulong WordOf(int sector, ulong stamp) => stamp == 0 ? 0 : (stamp << 32) | (uint)sector;

    private void Note(int first, int count, ulong stamp, int? at = null)
    {
        // A checkpoint in the background may add events at any time.
        int now = at ?? Events;
        for (int s = first; s < first + count; s++)
        {
            _history[s].Add((now, stamp));
            _now[s] = stamp;
        }
    }

    // A discard may leave the old bytes: what it left is what the sector holds.
    private void Settle(IVirtualDisk disk, int first, int count)
    {
        byte[] bytes = new byte[count * Sector];
        disk.Read((long)first * Sector, bytes);
        for (int s = 0; s < count; s++)
        {
            _now[first + s] = MemoryMarshal.Cast<byte, ulong>(bytes.AsSpan(s * Sector))[0] >> 32;
            _history[first + s][^1] = (_history[first + s][^1].Event, _now[first + s]);
        }
    }

    /// <summary>A snapshot, when it was taken and deleted, and the stamps of its sectors.</summary>
    private sealed record Taken(string Name, int CreatedBegin, int CreatedEnd, ulong[] Stamps)
    {
        public int DeletedBegin { get; init; } = int.MaxValue;

        public int DeletedEnd { get; init; } = int.MaxValue;
    }

    /// <summary>When a snapshot was applied, and what it held.</summary>
    private sealed record Applied(int Begin, int End, int SectorsBefore, ulong[] Stamps);
}
