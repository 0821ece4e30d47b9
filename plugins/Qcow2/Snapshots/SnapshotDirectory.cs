using System.Text;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>The image's snapshots by the names of their disks. Immutable.</summary>
internal sealed class SnapshotDirectory
{
    /// <summary>Names that a message lists.</summary>
    private const int NamesInMessage = 8;

    private readonly SortedDictionary<string, Snapshot> _byDiskName = new(StringComparer.Ordinal);

    /// <param name="snapshots">In the table's order.</param>
    public SnapshotDirectory(IReadOnlyList<Snapshot> snapshots)
    {
        Snapshots = snapshots;
        // Names need not be unique, nor present; ids are unique.
        foreach (Snapshot snapshot in snapshots)
        {
            bool usable = snapshot.Name.Length > 0 && !_byDiskName.ContainsKey(snapshot.Name);
            _byDiskName[usable ? snapshot.Name : $"#{snapshot.Id}"] = snapshot;
        }
    }

    /// <summary>In the table's order.</summary>
    public IReadOnlyList<Snapshot> Snapshots { get; }

    /// <summary>Disk names and snapshots, in ordinal order.</summary>
    public IEnumerable<KeyValuePair<string, Snapshot>> Disks => _byDiskName;

    /// <summary>The snapshot of a disk name, or, as QEMU's tools allow, of an id.</summary>
    public Snapshot? Find(string nameOrId) =>
        _byDiskName.GetValueOrDefault(nameOrId) ?? Snapshots.FirstOrDefault(snapshot => snapshot.Id == nameOrId);

    /// <summary>What there is, for a message: the names nearest to the one that is not there.</summary>
    public string DescribeNear(string name) => _byDiskName.Count == 0 ? "no snapshots"
        : $"snapshots {string.Join(", ", _byDiskName.Keys.OrderByDescending(k => k.AsSpan().CommonPrefixLength(name)).ThenBy(static k => k, StringComparer.Ordinal).Take(NamesInMessage))}"
            + (_byDiskName.Count > NamesInMessage ? $" and {_byDiskName.Count - NamesInMessage} more" : "");

    /// <summary>An id for the next snapshot: as QEMU chooses it, one above the largest number; never one that is somebody's name.</summary>
    public ReadOnlyMemory<byte> NextId()
    {
        ulong next = 1;
        foreach (Snapshot snapshot in Snapshots)
        {
            if (ulong.TryParse(snapshot.Id, out ulong id) && id >= next && id < ulong.MaxValue) next = id + 1;
        }

        while (Find(next.ToString()) is not null) next++;
        return Encoding.UTF8.GetBytes(next.ToString());
    }
}
