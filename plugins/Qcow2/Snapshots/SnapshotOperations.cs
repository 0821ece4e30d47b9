using System.Buffers.Binary;
using System.Text;
using StoragePlugins.Qcow2.Data;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>Takes, applies and deletes snapshots of an open image, each with the disk to itself and durable on return.</summary>
/// <remarks>One call at a time. <see cref="Directory"/> may be read meanwhile.</remarks>
internal sealed class SnapshotOperations(
    Qcow2Header header, IOrderedMedium home, MapTables maps, ClusterAllocator allocator, Committer committer, RequestEpochs epochs, ClusterReader reader,
    CompressedClusterReader compressed, AppendAhead? ahead, IReadOnlyList<Snapshot> snapshots)
{
    /// <summary>QEMU keeps a name in 256 bytes, with a zero behind it.</summary>
    private const int MaxNameBytes = 255;

    private volatile SnapshotDirectory _directory = new(snapshots);

    /// <summary>The snapshots at present.</summary>
    public SnapshotDirectory Directory => _directory;

    /// <summary>Takes a snapshot of the live disk.</summary>
    public void Create(string name)
    {
        RefuseName(name);
        if (_directory.Find(name) is { } present)
            throw new DiagnosticException("SP3023", $"there is a snapshot of this name or id already: '{name}'", home.Name,
                found: $"snapshot {present.Id} of {present.Date:yyyy-MM-dd HH:mm:ss}, named '{present.Name}'", fix: "choose another name, or delete that one");
        DateTimeOffset now = DateTimeOffset.UtcNow;
        var created = new Snapshot
        {
            StoredId = _directory.NextId(),
            StoredName = Encoding.UTF8.GetBytes(name),
            L1TableOffset = 0,
            L1Size = 0,
            DateSeconds = (uint)now.ToUnixTimeSeconds(),
            DateNanoseconds = (uint)(now.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick),
        };
        Run(() =>
        {
            created = created with { DiskBytes = header.Size };
            ulong[] live = maps.L1;
            return new SnapshotChange { Snapshots = [.. Present(), created], Created = created, Root = [.. live], Gained = live, Size = header.Size };
        });
    }

    /// <summary>Makes the live disk what the snapshot holds, its size included.</summary>
    public void Apply(string name)
    {
        Snapshot snapshot = Require(name);
        Run(() =>
        {
            long size = snapshot.DiskBytes ?? header.Size;
            // Without what lies behind the disk's end: saved state of a machine, which the snapshot keeps.
            ulong[] held = [.. ReadRoot(snapshot).Take((int)header.L1EntriesFor(size))];
            // A root that becomes shorter would be too short for a request that asked for the size before this.
            ulong[] root = new ulong[Math.Max(maps.L1.Length, header.L1EntriesFor(size))];
            held.CopyTo(root, 0);
            return new SnapshotChange { Snapshots = Present(), Root = root, Gained = held, Lost = maps.L1, Size = size };
        });
    }

    /// <summary>Deletes a snapshot and frees what only it used.</summary>
    public void Delete(string name)
    {
        Snapshot snapshot = Require(name);
        Run(() => new SnapshotChange
        {
            Snapshots = [.. Present().Where(s => s.Fate != snapshot.Fate)],
            Root = [.. maps.L1],
            Lost = ReadRoot(snapshot),
            Size = header.Size,
            Deleted = snapshot,
        });
    }

    private void Run(Func<SnapshotChange> plan)
    {
        using RequestEpochs.Quiesced quiet = epochs.Quiesce();
        // What is prepared for the guest is neither a snapshot's content nor the live disk's afterwards.
        ahead?.TakeBackForControl();
        committer.RunAlone(() =>
        {
            SnapshotChange change = plan();
            var references = new MapReferences(header, home, reader, compressed);
            var work = new RootSwitch(header, home, maps, allocator, committer, references, change);
            work.Run();
            change.Deleted?.Fate.Delete();
            _directory = new SnapshotDirectory(work.Snapshots);
            GiveBack(work);
        });
    }

    private void GiveBack(RootSwitch work)
    {
        try
        {
            committer.GiveBack(work.Freed);
        }
        catch (StorageException failure) when (failure is not DurabilityLostException)
        {
            // The operation is done and durable; that the host keeps the space does no harm.
        }
    }

    /// <summary>The present entries as they are written anew. Version 3 demands a disk size of each; QEMU takes the live disk's too where there is none.</summary>
    private Snapshot[] Present() => [.. _directory.Snapshots.Select(s => s.DiskBytes is null ? s with { DiskBytes = header.Size } : s)];

    private Snapshot Require(string name)
    {
        Snapshot snapshot = _directory.Find(name) ?? throw new DiagnosticException("SP3021", $"the image has no snapshot '{name}'", home.Name,
            found: _directory.DescribeNear(name), fix: "see: sphost image snapshot -l");
        return snapshot.DescribeFault(header, home.Length) is { } fault
            ? throw new DiagnosticException("SP3022", $"the snapshot '{name}' cannot be read: {fault}", home.Name, fix: "run: sphost image check")
            : snapshot;
    }

    private ulong[] ReadRoot(Snapshot snapshot)
    {
        byte[] bytes = new byte[snapshot.L1Size * (long)sizeof(ulong)];
        home.Read(snapshot.L1TableOffset, bytes);
        var root = new ulong[snapshot.L1Size];
        for (int i = 0; i < root.Length; i++) root[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * sizeof(ulong)));
        return root;
    }

    private void RefuseName(string name)
    {
        int bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes is 0 or > MaxNameBytes || name.Any(char.IsControl))
            throw new DiagnosticException("SP3024", "a snapshot cannot have this name", home.Name, $"1 to {MaxNameBytes} bytes without control characters",
                bytes is 0 or > MaxNameBytes ? $"{bytes} bytes" : "a control character", "choose another name");
    }
}
