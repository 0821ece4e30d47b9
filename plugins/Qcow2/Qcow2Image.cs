using StoragePlugins.Qcow2.Data;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;
using StoragePlugins.Qcow2.Snapshots;

namespace StoragePlugins.Qcow2;

/// <summary>An open qcow2 image: the parts, wired together, and its life from open to close.</summary>
internal sealed class Qcow2Image : IDiskImage, ISnapshotImage
{
    private readonly IOrderedMedium _storage;
    private readonly IOrderedMedium _home;
    private readonly ClusterAllocator _allocator;
    private readonly IJournalSession _journal;
    private readonly IVirtualDisk? _backing;
    private readonly bool _readOnly;
    private readonly AppendAhead? _ahead;
    private readonly SnapshotOperations _snapshots;
    private readonly Lock _closing = new();
    private volatile bool _closed;

    public Qcow2Image(Qcow2Header header, IOrderedMedium storage, IJournalSession journal, Qcow2JournalSite site, ulong[] l1, ulong[] refcountTable,
        MetadataMap metadata, IVirtualDisk? backing, IReadOnlyList<Snapshot> snapshots, Qcow2Options options, bool readOnly)
    {
        (Header, _storage, _journal, _backing, _readOnly) = (header, storage, journal, backing, readOnly);
        storage = _home = journal.Home;
        object metadataLock = new();
        var cache = new L2Cache(storage, header, options.MapCache, metadataLock);
        var refcounts = new RefcountBlocks(storage, header, refcountTable, options.RefcountCache);
        ClusterAllocator allocator = _allocator = new ClusterAllocator(header, storage, refcounts, metadata, Epochs);
        site.Attach(allocator);
        Maps = new MapTables(header, storage, allocator, cache, l1);
        Committer = new Committer(metadataLock, journal, storage, allocator, cache, [allocator, Maps], header.ClusterBits, options.Unmap);
        var compressed = new CompressedClusterReader(header, storage);
        var gate = new AllocationGate();
        Reader = new ClusterReader(header, storage, cache, compressed, backing);
        var remapper = new ClusterRemapper(header, metadataLock, Maps, allocator, Reader, compressed);
        // Without an atomic journal a run would cost flushes of its own, and the pipeline is to show what ordering alone costs.
        if (journal.IsAtomic && !readOnly && options.Preallocate > 0 && storage.GetCapability<IPreallocatingMedium>() is { } preallocating)
            _ahead = new AppendAhead(header, metadataLock, preallocating, Maps, allocator, Reader, remapper, gate, Committer, Epochs, options.Preallocate);
        Extents = new ExtentDescriber(Reader, backing, header.ClusterBits, _ahead);
        SnapshotExtents = new ExtentDescriber(Reader, backing, header.ClusterBits, ahead: null);
        Writer = new ClusterWriter(header, metadataLock, storage, Maps, metadata, allocator, Reader, remapper, gate, Committer, _ahead);
        Zeroer = new ClusterZeroer(header, metadataLock, Maps, Reader, remapper, Writer, gate, Committer, _ahead);
        Resizer = new ImageResizer(header, metadataLock, Maps, Zeroer, Committer, Epochs, storage.Name);
        _snapshots = new SnapshotOperations(header, storage, Maps, allocator, Committer, Epochs, Reader, compressed, _ahead, snapshots);
    }

    public Qcow2Header Header { get; }

    public RequestEpochs Epochs { get; } = new();

    public MapTables Maps { get; }

    public Committer Committer { get; }

    public ClusterReader Reader { get; }

    public ExtentDescriber Extents { get; }

    public ExtentDescriber SnapshotExtents { get; }

    public ClusterWriter Writer { get; }

    public ClusterZeroer Zeroer { get; }

    public ImageResizer Resizer { get; }

    public string Name => _storage.Name;

    public bool IsReadOnly => _readOnly;

    public ImageDescription Description => new("qcow2", Header.Size,
    [
        new("version", Header.Version),
        new("clusterSize", Header.ClusterSize),
        new("refcountBits", Header.RefcountBits),
        new("lazyRefcounts", Header.LazyRefcounts),
        new("compression", Header.Compression == CompressionKind.Zstd ? "zstd" : "zlib"),
        new("backingFile", Header.BackingFile ?? ""),
        new("backingFormat", Header.BackingFormat ?? ""),
        new("snapshots", Header.SnapshotCount),
        new("journalInUse", (Header.IncompatibleFeatures & Qcow2Features.JournalInUse) != 0),
        new("dirty", (Header.IncompatibleFeatures & Qcow2Features.Dirty) != 0),
        new("corrupt", (Header.IncompatibleFeatures & Qcow2Features.Corrupt) != 0),
    ]);

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit)
    {
        IEnumerable<DiskEntry> live = after is null ? [new DiskEntry("", Header.Size, _readOnly, "")] : [];
        IEnumerable<DiskEntry> snapshots = _snapshots.Directory.Disks
            .Where(s => after is null || string.CompareOrdinal(s.Key, after) > 0)
            .Select(s => new DiskEntry(s.Key, s.Value.DiskBytes ?? Header.Size, true, $"snapshot {s.Value.Id} of {s.Value.Date:yyyy-MM-dd HH:mm:ss}"));
        return [.. live.Concat(snapshots).Take(limit)];
    }

    public IVirtualDisk OpenDisk(string name)
    {
        if (name.Length == 0) return new Qcow2Disk(this);
        SnapshotDirectory directory = _snapshots.Directory;
        return directory.Find(name) is { } snapshot
            ? new SnapshotDisk(this, _home, snapshot, name)
            : throw new DiagnosticException("SP3021", $"the image has no disk '{name}'", Name, found: directory.DescribeNear(name), fix: "see: sphost image info");
    }

    /// <summary>A request that changes the disk begins.</summary>
    /// <exception cref="StorageException">The image is closed.</exception>
    public RequestEpochs.Request EnterToChange()
    {
        RequestEpochs.Request request = Epochs.Enter();
        if (!_closed) return request;
        request.Dispose();
        throw Closed();
    }

    /// <summary>Sets the live disk's length.</summary>
    /// <exception cref="StorageException">The image is closed.</exception>
    public void Resize(long length) => Control("resize", () => Resizer.Resize(length));

    public void CreateSnapshot(string name) => Control("create snapshot", () => _snapshots.Create(name));

    public void ApplySnapshot(string name) => Control("apply snapshot", () => _snapshots.Apply(name));

    public void DeleteSnapshot(string name) => Control("delete snapshot", () => _snapshots.Delete(name));

    /// <summary>Runs an operation on the whole image: one at a time, never after the end.</summary>
    private void Control(string name, Action operation)
    {
        if (_readOnly) throw new StorageException(StorageError.ReadOnly, name, Name, -1, 0, "it was opened read-only");
        lock (_closing)
        {
            if (_closed) throw Closed();
            operation();
        }
    }

    public void Close()
    {
        lock (_closing)
        {
            if (_closed) return;
            if (!_readOnly)
            {
                _ahead?.Stop();
                using RequestEpochs.Quiesced quiet = Epochs.Quiesce();
                _ahead?.TakeBack();
                Committer.CommitAllAndClose();
                // While nobody is inside: who waits to come in is refused.
                _closed = true;
                GiveSpaceBack();
            }

            _closed = true;
        }
    }

    /// <summary>What the session set aside goes back to the host: cut off at the end of the file, punched out elsewhere.</summary>
    private void GiveSpaceBack()
    {
        try
        {
            long end = _allocator.UsedEnd() << Header.ClusterBits;
            if (end < _storage.Length) _storage.SetLength(end);
            (long first, long count) = _allocator.GivenBack;
            long offset = first << Header.ClusterBits;
            long length = Math.Min(count << Header.ClusterBits, _storage.Length - offset);
            if (length > 0) _ = _storage.GetCapability<IDeallocatingMedium>()?.TryPunchHole(offset, length);
        }
        catch (StorageException)
        {
            // The image is whole, durable and plain; a block device cannot be cut, and space that cannot be given back does no harm.
        }
    }

    private StorageException Closed() => new(StorageError.ShuttingDown, "change", Name, -1, 0, "the image is closed");

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
        _ahead?.Dispose();
        _journal.Dispose();
        _backing?.Dispose();
        _storage.Dispose();
    }
}
