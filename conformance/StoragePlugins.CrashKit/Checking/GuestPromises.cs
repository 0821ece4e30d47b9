using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Checking;

/// <summary>What a guest was told, held against what an opened image shows: its length, its sectors, its snapshots.</summary>
internal static class GuestPromises
{
    private const int MostDisks = 1000;

    /// <summary>Judges an image after a power cut.</summary>
    /// <param name="history">What the guest was told.</param>
    /// <param name="image">The image.</param>
    /// <param name="shown">What its disk shows.</param>
    /// <param name="tick">When the power went.</param>
    /// <exception cref="InvariantBrokenException">A promise is broken.</exception>
    public static void Judge(GuestHistory history, IDiskImage image, ReadOnlySpan<byte> shown, long tick)
    {
        if (!history.MayHaveLength(shown.Length, tick)) throw new InvariantBrokenException(Invariant.I4Durable, $"the disk has {shown.Length} bytes");
        history.Judge(shown, tick);
        if (history.Snapshots.Count > 0) JudgeSnapshots(history, SnapshotsOf(image), tick);
    }

    /// <summary>The image's snapshots with what they show.</summary>
    public static Dictionary<string, byte[]> SnapshotsOf(IDiskImage image)
    {
        var snapshots = new Dictionary<string, byte[]>();
        foreach (DiskEntry entry in image.ListDisks(null, MostDisks))
        {
            if (entry.Name.Length == 0) continue;
            using IVirtualDisk disk = image.OpenDisk(entry.Name);
            byte[] shown = new byte[disk.Length];
            disk.Read(0, shown);
            snapshots.Add(entry.Name, shown);
        }

        return snapshots;
    }

    /// <summary>Judges snapshots after a power cut.</summary>
    /// <exception cref="InvariantBrokenException">A promise is broken.</exception>
    public static void JudgeSnapshots(GuestHistory history, IReadOnlyDictionary<string, byte[]> shown, long tick)
    {
        var there = new Dictionary<string, byte[]>(shown);
        foreach (IGrouping<string, SnapshotLife> named in history.Snapshots.GroupBy(life => life.Name))
        {
            SnapshotLife[] lives = [.. named.Where(life => life.Created.Begin <= tick)];
            if (lives.Length == 0) continue;
            bool isThere = there.Remove(named.Key, out byte[]? content);
            SnapshotLife last = lives[^1];
            bool mustBe = last.Created.End <= tick && !(last.Deleted?.Begin <= tick), mustNotBe = last.Deleted?.End <= tick;
            if (mustBe && !isThere) throw new InvariantBrokenException(Invariant.I11SnapshotsUnchanged, $"snapshot '{named.Key}' is gone");
            if (mustNotBe && isThere) throw new InvariantBrokenException(Invariant.I11SnapshotsUnchanged, $"snapshot '{named.Key}' was deleted and is there again");
            // While one is being deleted and made anew either may be there.
            if (isThere && !lives.Any(life => !(life.Deleted?.End <= tick) && content.AsSpan().SequenceEqual(life.Content)))
                throw new InvariantBrokenException(Invariant.I11SnapshotsUnchanged, $"snapshot '{named.Key}' has changed" + Difference(content, lives[^1].Content));
        }

        if (there.Count > 0) throw new InvariantBrokenException(Invariant.I11SnapshotsUnchanged, $"there is a snapshot '{there.Keys.First()}' that nobody made");
    }

    /// <summary>Where two contents differ first, for a message.</summary>
    public static string Difference(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        long s = a.CommonPrefixLength(b) / GuestHistory.SectorBytes;
        int at = (int)(s * GuestHistory.SectorBytes);
        return at + GuestHistory.SectorBytes > Math.Min(a.Length, b.Length) ? ""
            : $": sector {s} {Stamp.Describe(a.Slice(at, GuestHistory.SectorBytes), s)} and {Stamp.Describe(b.Slice(at, GuestHistory.SectorBytes), s)}";
    }
}
