using System.Text;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>An entry of the snapshot table. Ids and names are kept as stored, so that a rewritten table does not change what it does not mean to.</summary>
internal sealed record Snapshot
{
    public required long L1TableOffset { get; init; }

    /// <summary>Entries of the L1 table.</summary>
    public required int L1Size { get; init; }

    /// <summary>Unique among the image's snapshots; QEMU numbers from 1.</summary>
    public required ReadOnlyMemory<byte> StoredId { get; init; }

    /// <summary>Chosen by the user; may be empty, and two snapshots may share one.</summary>
    public required ReadOnlyMemory<byte> StoredName { get; init; }

    /// <summary>Seconds since 1970 when it was taken.</summary>
    public uint DateSeconds { get; init; }

    public uint DateNanoseconds { get; init; }

    /// <summary>Nanoseconds that the guest had run.</summary>
    public ulong VmClockNanoseconds { get; init; }

    /// <summary>Bytes of saved machine state behind the disk in the snapshot's own map; 0 for a disk-only snapshot.</summary>
    public ulong VmStateBytes { get; init; }

    /// <summary>The guest's size when it was taken; null where the entry does not say (version 2): the live disk's then.</summary>
    public long? DiskBytes { get; init; }

    /// <summary>Extra data behind the two known fields, kept as it was.</summary>
    public ReadOnlyMemory<byte> FurtherExtraData { get; init; }

    /// <summary>Shared by all versions of the entry: whether the snapshot is still there.</summary>
    public SnapshotFate Fate { get; init; } = new();

    public string Id => Encoding.UTF8.GetString(StoredId.Span);

    public string Name => Encoding.UTF8.GetString(StoredName.Span);

    public DateTimeOffset Date => DateTimeOffset.FromUnixTimeSeconds(DateSeconds).AddTicks(DateNanoseconds / 100);

    /// <summary>What makes this snapshot unusable, or null. Reading the table of snapshots does not judge it, so that one broken snapshot
    /// does not take the live disk with it.</summary>
    public string? DescribeFault(Qcow2Header header, long mediumLength)
    {
        if (DescribeMapFault(header, mediumLength) is { } fault) return fault;
        return DiskBytes is { } bytes && (bytes < 0 || L1Size < header.L1EntriesFor(bytes)) ? $"its L1 table of {L1Size} entries is too small for {(ulong)bytes} bytes" : null;
    }

    /// <summary>What makes this snapshot's L1 table unreadable, or null.</summary>
    public string? DescribeMapFault(Qcow2Header header, long mediumLength)
    {
        if (L1Size < 0 || L1Size > Qcow2Layout.MaxL1Bytes / sizeof(ulong)) return $"its L1 table has {(uint)L1Size} entries, more than {Qcow2Layout.MaxL1Bytes / sizeof(ulong)}";
        if (L1Size == 0) return null;
        if ((L1TableOffset & (header.ClusterSize - 1)) != 0) return $"its L1 table at {(ulong)L1TableOffset} is not aligned to clusters";
        return L1TableOffset < header.ClusterSize || L1TableOffset > mediumLength - (L1Size * (long)sizeof(ulong))
            ? $"its L1 table at {(ulong)L1TableOffset} is not inside the file" : null;
    }
}

/// <summary>Whether a snapshot is still there; for those who have its disk open.</summary>
internal sealed class SnapshotFate
{
    private volatile bool _isDeleted;

    public bool IsDeleted => _isDeleted;

    public void Delete() => _isDeleted = true;
}
