using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>
/// A disk image as a tree: the file <c>disk</c> is the live disk, and the directory <c>snapshots</c> has a file for each named disk of the image, for
/// reading only.
/// </summary>
/// <remarks>
/// <para>The files' content is the disks'; their attributes are this mount's: owner and modes begin as the image file's own and can be changed until the end.</para>
/// <para>The live disk is a disk: what lies behind its end is no space (<see cref="FileError.NoSpace"/>), not a file that grows; a new size changes the disk's
/// where its format can. A hole that is punched reads as zeros at once.</para>
/// <para>Writes are volatile until a flush, as a disk's: <see cref="TreeDurability.OnFlush"/>.</para>
/// </remarks>
internal sealed class DiskTree : IFileTree, IOrderedTree, IDisposable
{
    private const ulong Root = 1;
    private const ulong Snapshots = 2;
    private const ulong Live = 3;

    /// <summary>Runs that are looked at in one call: a page's worth on the stack.</summary>
    private const int ExtentsAtOnce = 128;

    private const int BlockBytes = 512;
    private const uint DirectoryMode = ((uint)NodeKind.Directory << 12) | 0x16D; // r-xr-xr-x
    private const uint FileType = (uint)NodeKind.File << 12;

    private static ReadOnlySpan<byte> LiveName => "disk"u8;

    private static ReadOnlySpan<byte> SnapshotsName => "snapshots"u8;

    private readonly DiskFile _live;
    private readonly SnapshotDirectory _snapshots;
    private readonly Func<long> _allocatedBytes;
    private readonly long _openedAt = MountedTree.Now;
    private readonly uint _userId;
    private readonly uint _groupId;

    /// <param name="live">The live disk; disposed with this object.</param>
    /// <param name="resizable">Changes its length; null where its format cannot.</param>
    /// <param name="snapshots">The other disks.</param>
    /// <param name="owner">Whose the files are, and who may read and write them.</param>
    /// <param name="allocatedBytes">How much space the image takes.</param>
    public DiskTree(ServedDisk live, IResizableDisk? resizable, SnapshotDirectory snapshots, ImageOwner owner, Func<long> allocatedBytes)
    {
        (_snapshots, _allocatedBytes, _userId, _groupId) = (snapshots, allocatedBytes, owner.UserId, owner.GroupId);
        _live = new DiskFile(live, resizable, owner, _openedAt);
    }

    /// <inheritdoc/>
    public ulong RootNode => Root;

    /// <inheritdoc/>
    public TreeDurability Durability => TreeDurability.OnFlush;

    /// <inheritdoc/>
    public bool IsReadOnly => _live.Disk.IsReadOnly;

    /// <inheritdoc/>
    public TreeStatistics Statistics => new(BlockBytes, _live.Disk.Length / BlockBytes, 0, _snapshots.Count + 3L, 0, FuseProtocol.MaxNameBytes);

    /// <inheritdoc/>
    public FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node)
    {
        node = default;
        switch (parent)
        {
            case Root when name.SequenceEqual(LiveName): return GetAttributes(Live, out node);
            case Root when name.SequenceEqual(SnapshotsName): return GetAttributes(Snapshots, out node);
            case Snapshots when _snapshots.Find(name) is { } index: return GetAttributes(NodeOf(index), out node);
            case Root or Snapshots: return FileError.NotFound;
            default: return IsNode(parent) ? FileError.NotDirectory : FileError.Stale;
        }
    }

    /// <inheritdoc/>
    public void Forget(ulong node, long count)
    {
    }

    /// <inheritdoc/>
    public void Closed(ulong node)
    {
    }

    /// <inheritdoc/>
    public FileError GetAttributes(ulong node, out NodeAttributes attributes)
    {
        attributes = new NodeAttributes
        {
            Node = node,
            Links = 1,
            UserId = _userId,
            GroupId = _groupId,
            AccessTime = _openedAt,
            ModificationTime = _openedAt,
            ChangeTime = _openedAt,
            BirthTime = _openedAt,
        };
        switch (node)
        {
            case Root:
                attributes.Mode = DirectoryMode;
                attributes.Links = 3;
                return FileError.None;
            case Snapshots:
                attributes.Mode = DirectoryMode;
                attributes.Links = 2;
                return FileError.None;
            case Live:
                _live.Describe(ref attributes);
                attributes.AllocatedBytes = _allocatedBytes();
                return FileError.None;
            default:
                if (!IsNode(node)) return FileError.Stale;
                attributes.Mode = FileType | _live.ReadOnlyPermissions;
                attributes.Size = _snapshots.LengthOf(IndexOf(node));
                attributes.AllocatedBytes = attributes.Size;
                return FileError.None;
        }
    }

    /// <inheritdoc/>
    public FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes)
    {
        attributes = default;
        if (node != Live) return IsNode(node) ? FileError.ReadOnly : FileError.Stale;
        FileError error = IsReadOnly ? FileError.ReadOnly : _live.Change(change);
        return error == FileError.None ? GetAttributes(node, out attributes) : error;
    }

    /// <inheritdoc/>
    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node) => Refuse(out node);

    /// <inheritdoc/>
    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node) => Refuse(out node);

    /// <inheritdoc/>
    public FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length)
    {
        length = 0;
        return FileError.InvalidArgument;
    }

    /// <inheritdoc/>
    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes) => Refuse(out attributes);

    /// <inheritdoc/>
    public FileError Remove(ulong parent, ReadOnlySpan<byte> name) => FileError.NotPermitted;

    /// <inheritdoc/>
    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name) => FileError.NotPermitted;

    /// <inheritdoc/>
    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode) => FileError.NotPermitted;

    /// <inheritdoc/>
    public FileError Read(ulong node, long offset, Span<byte> buffer, out int read)
    {
        read = 0;
        FileError error = FindDisk(node, out ServedDisk? disk);
        if (error != FileError.None) return error;
        long length = disk!.Length;
        if (offset < 0) return FileError.InvalidArgument;
        if (offset >= length) return FileError.None;
        read = (int)Math.Min(buffer.Length, length - offset);
        disk.Read(offset, buffer[..read]);
        return FileError.None;
    }

    /// <inheritdoc/>
    public FileError Write(ulong node, long offset, ReadOnlySpan<byte> data)
    {
        FileError error = FindDiskToWrite(node, offset, data.Length);
        if (error != FileError.None) return error;
        _live.Disk.Write(offset, data);
        _live.Touch();
        return FileError.None;
    }

    /// <inheritdoc/>
    /// <remarks>A disk is full at its end.</remarks>
    public FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset)
    {
        offset = _live.Disk.Length;
        return Write(node, offset, data);
    }

    /// <inheritdoc/>
    public FileError Allocate(ulong node, AllocationMode mode, long offset, long length)
    {
        if (mode is AllocationMode.PunchHole or AllocationMode.ZeroRange)
        {
            // What of the range lies behind the end has nothing to give back.
            if (offset >= 0 && length > 0) length = Math.Min(length, Math.Max(0, _live.Disk.Length - offset));
            FileError error = FindDiskToWrite(node, offset, length);
            if (error != FileError.None || length == 0) return error;
            _live.Disk.WriteZeroes(offset, length, mayUnmap: mode == AllocationMode.PunchHole);
            _live.Touch();
            return FileError.None;
        }

        // That later writes find space is a promise that a sparse image cannot give.
        return node == Live ? FileError.NotSupported : FindDiskToWrite(node, offset, length);
    }

    /// <inheritdoc/>
    public FileError Seek(ulong node, long offset, bool forHole, out long found)
    {
        found = offset;
        FileError error = FindDisk(node, out ServedDisk? disk);
        if (error != FileError.None) return error;
        long length = disk!.Length;
        if (offset < 0 || offset >= length) return FileError.NoData;
        Span<DiskExtent> extents = stackalloc DiskExtent[ExtentsAtOnce];
        while (found < length)
        {
            int count = disk.DescribeExtents(found, length - found, extents);
            foreach (DiskExtent extent in extents[..count])
            {
                if (extent.Flags.HasFlag(ExtentFlags.Zero) == forHole) return FileError.None;
                found += extent.Length;
            }
        }

        found = length;
        return forHole ? FileError.None : FileError.NoData;
    }

    /// <inheritdoc/>
    /// <remarks>Of a disk's data; the files' attributes are this mount's own.</remarks>
    public FileError Flush(ulong node)
    {
        if (node is Live or Root) _live.Disk.Flush();
        return FileError.None;
    }

    /// <inheritdoc/>
    /// <remarks>Of the live disk, where it can be written and its format can order.</remarks>
    public bool CanOrder(ulong node) => node == Live && _live.Disk.CanOrder;

    /// <inheritdoc/>
    public void Barrier(ulong node) => _live.Disk.Barrier();

    /// <inheritdoc/>
    public FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor)
    {
        if (node == Root)
        {
            if (cursor == 0 && !visitor.Visit(LiveName, Live, NodeKind.File, 1)) return FileError.None;
            if (cursor <= 1) visitor.Visit(SnapshotsName, Snapshots, NodeKind.Directory, 2);
            return FileError.None;
        }

        if (node != Snapshots) return IsNode(node) ? FileError.NotDirectory : FileError.Stale;
        for (ulong index = cursor; index < (ulong)_snapshots.Count; index++)
        {
            if (!visitor.Visit(_snapshots.NameOf((int)index), NodeOf((int)index), NodeKind.File, index + 1)) break;
        }

        return FileError.None;
    }

    /// <inheritdoc/>
    public FileError GetParent(ulong node, out ulong parent)
    {
        parent = Root;
        return node is Root or Snapshots ? FileError.None : IsNode(node) ? FileError.NotDirectory : FileError.Stale;
    }

    /// <inheritdoc/>
    public FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        length = 0;
        return IsNode(node) ? FileError.NoAttribute : FileError.Stale;
    }

    /// <inheritdoc/>
    public FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode) => FileError.NotSupported;

    /// <inheritdoc/>
    public FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length)
    {
        length = 0;
        return IsNode(node) ? FileError.None : FileError.Stale;
    }

    /// <inheritdoc/>
    public FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name) => IsNode(node) ? FileError.NoAttribute : FileError.Stale;

    /// <summary>Refuses new requests and waits for the running ones.</summary>
    /// <returns>False when some were still running after <paramref name="timeout"/>.</returns>
    public bool Quiesce(TimeSpan timeout) => _live.Disk.Quiesce(timeout) && _snapshots.Quiesce(timeout);

    /// <summary>Why durability is lost; null while it is not.</summary>
    public DurabilityLostException? Poison => _live.Disk.Poison;

    /// <summary>Lets go of the disks. After <see cref="Quiesce"/>.</summary>
    public void Dispose()
    {
        _live.Disk.Dispose();
        _snapshots.Dispose();
    }

    private static FileError Refuse(out NodeAttributes node)
    {
        node = default;
        return FileError.NotPermitted;
    }

    private bool IsNode(ulong node) => node is >= Root and <= Live || (node > Live && node - Live <= (ulong)_snapshots.Count);

    private static ulong NodeOf(int index) => Live + 1 + (ulong)index;

    private static int IndexOf(ulong node) => (int)(node - Live - 1);

    private FileError FindDisk(ulong node, out ServedDisk? disk)
    {
        disk = null;
        if (node is Root or Snapshots) return FileError.IsDirectory;
        if (!IsNode(node)) return FileError.Stale;
        disk = node == Live ? _live.Disk : _snapshots.Open(IndexOf(node));
        return FileError.None;
    }

    private FileError FindDiskToWrite(ulong node, long offset, long length)
    {
        if (node is Root or Snapshots) return FileError.IsDirectory;
        if (node != Live) return IsNode(node) ? FileError.ReadOnly : FileError.Stale;
        if (IsReadOnly) return FileError.ReadOnly;
        if (offset < 0 || length < 0) return FileError.InvalidArgument;
        return _live.Disk.Contains(offset, length) ? FileError.None : FileError.NoSpace;
    }
}
