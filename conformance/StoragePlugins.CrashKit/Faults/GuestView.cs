using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>What an image shows once it was opened, read whole, closed and checked.</summary>
/// <param name="Disk">The live disk.</param>
/// <param name="Snapshots">By name.</param>
/// <param name="Corruptions">That the format's check found.</param>
/// <param name="Leaks">That it found.</param>
/// <param name="Broken">The promise to the guest that it breaks; null for none.</param>
internal sealed record GuestView(byte[] Disk, IReadOnlyDictionary<string, byte[]> Snapshots, long Corruptions, long Leaks, InvariantBrokenException? Broken)
{
    /// <summary>Opens, reads, closes and checks.</summary>
    /// <exception cref="StorageException">It cannot be read.</exception>
    /// <exception cref="DiagnosticException">It cannot be opened.</exception>
    public static GuestView Of(TestedPipeline pipeline, Machine machine, GuestHistory history, long tick, MediumFaults? faults = null)
    {
        byte[] shown = [];
        IReadOnlyDictionary<string, byte[]> snapshots = new Dictionary<string, byte[]>();
        InvariantBrokenException? broken = null;
        using (OpenedSubject opened = pipeline.Open(machine, faults: faults))
        {
            using (IVirtualDisk disk = opened.Image.OpenDisk(""))
            {
                // What a damaged size says may be more than there is memory for; no workload makes a disk this long.
                if (disk.Length > DeviceImage.MaxLength) broken = new InvariantBrokenException(Invariant.I14DamageIsSeen, $"the disk has {disk.Length} bytes");
                else disk.Read(0, shown = new byte[disk.Length]);
            }

            if (broken is null)
            {
                snapshots = GuestPromises.SnapshotsOf(opened.Image);
                broken = Judged(history, opened.Image, shown, tick);
            }

            opened.Image.Close();
        }

        CheckReport? report = pipeline.Check(machine);
        return new GuestView(shown, snapshots, report?.Corruptions ?? 0, report?.Leaks ?? 0, broken);
    }

    private static InvariantBrokenException? Judged(GuestHistory history, IDiskImage image, byte[] shown, long tick)
    {
        try
        {
            GuestPromises.Judge(history, image, shown, tick);
            return null;
        }
        catch (InvariantBrokenException problem)
        {
            return problem;
        }
    }

    /// <summary>The disks in which this differs from another view, sector by sector; null when the disks are not the same ones.</summary>
    public IReadOnlyList<(long Sector, byte[] Seen, byte[] Right)>? DifferencesFrom(GuestView right)
    {
        if (Disk.Length != right.Disk.Length || Snapshots.Count != right.Snapshots.Count) return null;
        var differences = new List<(long, byte[], byte[])>();
        Compare(Disk, right.Disk, differences);
        foreach ((string name, byte[] content) in Snapshots)
        {
            if (!right.Snapshots.TryGetValue(name, out byte[]? other) || other.Length != content.Length) return null;
            Compare(content, other, differences);
        }

        return differences;
    }

    private static void Compare(byte[] seen, byte[] right, List<(long, byte[], byte[])> differences)
    {
        for (int at = 0; at < seen.Length; at += GuestHistory.SectorBytes)
        {
            int length = Math.Min(GuestHistory.SectorBytes, seen.Length - at);
            if (!seen.AsSpan(at, length).SequenceEqual(right.AsSpan(at, length)))
                differences.Add((at / GuestHistory.SectorBytes, seen.AsSpan(at, length).ToArray(), right.AsSpan(at, length).ToArray()));
        }
    }
}
