using StoragePlugins.PmFileSystem.Attributes;
using StoragePlugins.PmFileSystem.Directories;
using StoragePlugins.PmFileSystem.Files;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Nodes;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem;

/// <summary>The tree of a volume: names and nodes. The bytes of files are <see cref="FileContent"/>'s.</summary>
/// <remarks>
/// Locks: one an inode (striped), several only together and in order. Where a name's inode must be locked with its directory, the name is looked up, all are
/// locked, and the name is looked up again. Directories move between directories under one lock, so that no ring of them can arise.
/// </remarks>
internal sealed class PmTree : IFileTree
{
    private readonly Volume _volume;
    private readonly PmRegion _region;
    private readonly FileContent _content;
    private readonly DirectoryIndex _index;
    private readonly DirectoryListing _listing;
    private readonly NodeLife _life;
    private readonly Names _names;
    private readonly ExtendedAttributes _attributes;
    private readonly Lock _moving = new();

    public PmTree(Volume volume)
    {
        _volume = volume;
        _region = volume.Region;
        _content = new FileContent(volume);
        _index = new DirectoryIndex(volume);
        _listing = new DirectoryListing(volume, _index);
        _attributes = new ExtendedAttributes(volume);
        _life = new NodeLife(volume, _content, _index);
        _names = new Names(volume, _index, _life);
    }

    /// <summary>What the tree stands on.</summary>
    public Volume Volume => _volume;

    public ulong RootNode => PmLayout.RootInode;

    public TreeDurability Durability => TreeDurability.OnReturn;

    public bool IsReadOnly => _volume.IsReadOnly;

    public TreeStatistics Statistics =>
        new(PmLayout.BlockBytes, _volume.Blocks.Total, _volume.Blocks.Free, _volume.Inodes.Total, _volume.Inodes.Free, PmLayout.MostNameBytes);

    public FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node)
    {
        node = default;
        uint directory = Number(parent);
        uint found;
        using (_volume.Locks.Read(directory))
        {
            FileError error = _names.OpenDirectory(directory, name, out InodeRecord record);
            if (error != FileError.None) return error;
            if (!_index.TryFind(directory, record, name, _index.Hash(name), out EntryPlace place)) return FileError.NotFound;
            found = place.Entry.Inode;
            // While the name stands the inode does: from here on it is held.
            _volume.Held.Hold(found);
        }

        FileError result = GetAttributes(found, out node);
        if (result == FileError.None) return result;
        Forget(found, 1);
        return result == FileError.Stale ? throw _region.Damaged($"a name of directory {directory} refers to inode {found}, which is free") : result;
    }

    public void Forget(ulong node, long count)
    {
        uint number = Number(node);
        if (!_volume.Held.Release(number, count) || IsReadOnly) return;
        using (_volume.Locks.Write(number)) _life.DestroyIfGone(number);
    }

    public void Closed(ulong node)
    {
        uint number = Number(node);
        if (IsReadOnly || !_volume.Held.TakeAhead(number)) return;
        using (_volume.Locks.Write(number))
        {
            _region.ReadInode(number, out InodeRecord record);
            if (record.Kind == NodeKind.File) _content.Trim(number);
        }
    }

    public FileError GetAttributes(ulong node, out NodeAttributes attributes)
    {
        attributes = default;
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            if (error == FileError.None) attributes = record.Describe(number);
            return error;
        }
    }

    public FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes)
    {
        attributes = default;
        uint number = Number(node);
        using (_volume.Locks.Write(number))
        {
            FileError error = _volume.Read(number, out InodeRecord before);
            if (error != FileError.None) return error;
            if (IsReadOnly) return FileError.ReadOnly;
            if (change.Size is { } size)
            {
                if (before.Kind != NodeKind.File) return before.Kind == NodeKind.Directory ? FileError.IsDirectory : FileError.InvalidArgument;
                if (size < 0) return FileError.InvalidArgument;
                if (size > PmLayout.MostFileBytes) return FileError.FileTooLarge;
            }

            Transaction transaction = _volume.Journal.Begin();
            if (change.Size is { } prepared) _content.PrepareSize(transaction, before, prepared);
            ref InodeRecord inode = ref transaction.Edit(number, before);
            long now = _volume.Clock.Now();
            if (change.Permissions is { } permissions) inode.Mode = (inode.Mode & ~0xfffu) | (permissions & 0xfff);
            inode.UserId = change.UserId ?? inode.UserId;
            inode.GroupId = change.GroupId ?? inode.GroupId;
            if (change.Size is { } newSize) (inode.Size, inode.ModificationTime) = (newSize, now);
            inode.AccessTime = change.AccessTime ?? inode.AccessTime;
            inode.ModificationTime = change.ModificationTime ?? inode.ModificationTime;
            inode.ChangeTime = now;
            _volume.Commit(transaction);
            if (change.Size < before.Size) _content.Trim(number);
            _region.ReadInode(number, out InodeRecord after);
            attributes = after.Describe(number);
            return FileError.None;
        }
    }

    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        var kind = (NodeKind)(request.Mode >> 12);
        if (!Enum.IsDefined(kind) || kind == NodeKind.SymbolicLink) return FileError.InvalidArgument;
        return _names.Make(Number(parent), name, request, kind, [], out node);
    }

    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        if (target.Length == 0 || target.Contains((byte)0)) return FileError.InvalidArgument;
        if (target.Length > PmLayout.MostTargetBytes) return FileError.NameTooLong;
        return _names.Make(Number(parent), name, request with { Mode = ((uint)NodeKind.SymbolicLink << 12) | 0x1ff }, NodeKind.SymbolicLink, target, out node);
    }

    public FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length)
    {
        length = 0;
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            if (record.Kind != NodeKind.SymbolicLink) return FileError.InvalidArgument;
            if (record.Size is <= 0 or > PmLayout.MostTargetBytes) throw _region.Damaged($"the target of link {number} has {record.Size} bytes");
            length = (int)record.Size;
            if (target.Length < length) return FileError.BufferTooSmall;
            ReadOnlySpan<byte> bytes = length <= PmLayout.InlineTargetBytes
                ? System.Runtime.InteropServices.MemoryMarshal.AsBytes((ReadOnlySpan<ulong>)record.Direct)
                : _region.Block(_region.Checked(record.Direct[0]));
            bytes[..length].CopyTo(target);
            return FileError.None;
        }
    }

    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes) => _names.Link(Number(node), Number(newParent), newName, out attributes);

    public FileError Remove(ulong parent, ReadOnlySpan<byte> name) => _names.Remove(Number(parent), name, isDirectory: false);

    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name) => _names.Remove(Number(parent), name, isDirectory: true);

    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode)
    {
        if (mode is not (RenameMode.Replace or RenameMode.Keep or RenameMode.Exchange)) return FileError.InvalidArgument;
        (uint from, uint to) = (Number(parent), Number(newParent));
        if (from == to) return new Renaming(_volume, _index, _names, _life, from, to, mode).Run(name, newName);
        lock (_moving) return new Renaming(_volume, _index, _names, _life, from, to, mode).Run(name, newName);
    }

    public FileError Read(ulong node, long offset, Span<byte> buffer, out int read) => _content.Read(Number(node), offset, buffer, out read);

    public FileError Write(ulong node, long offset, ReadOnlySpan<byte> data) =>
        offset < 0 ? FileError.InvalidArgument : _content.Write(Number(node), offset, data, out _);

    public FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset) => _content.Write(Number(node), -1, data, out offset);

    public FileError Allocate(ulong node, AllocationMode mode, long offset, long length) => _content.Allocate(Number(node), mode, offset, length);

    public FileError Seek(ulong node, long offset, bool forHole, out long found) => _content.Seek(Number(node), offset, forHole, out found);

    public FileError Flush(ulong node)
    {
        // Everything that returned is durable; what a failed fence put in doubt is not.
        _volume.Journal.ThrowIfFailed();
        return FileError.None;
    }

    public FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor)
    {
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _names.OpenDirectory(number, "x"u8, out InodeRecord record);
            if (error == FileError.None) _listing.Visit(number, record, cursor, visitor);
            // A directory that was removed while it was open is empty.
            return error == FileError.NotFound ? FileError.None : error;
        }
    }

    public FileError GetParent(ulong node, out ulong parent)
    {
        parent = 0;
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            if (record.Kind != NodeKind.Directory) return FileError.NotDirectory;
            parent = record.Parent;
            return FileError.None;
        }
    }

    public FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        length = 0;
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            return error == FileError.None ? _attributes.Get(number, record, name, value, out length) : error;
        }
    }

    public FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode)
    {
        if (name.Length is 0 or > PmLayout.MostNameBytes || name.Contains((byte)0)) return FileError.BufferTooSmall;
        uint number = Number(node);
        using (_volume.Locks.Write(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            return IsReadOnly ? FileError.ReadOnly : _attributes.Set(number, record, name, value, mode);
        }
    }

    public FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length)
    {
        length = 0;
        uint number = Number(node);
        using (_volume.Locks.Read(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            return error == FileError.None ? _attributes.List(number, record, names, out length) : error;
        }
    }

    public FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name)
    {
        uint number = Number(node);
        using (_volume.Locks.Write(number))
        {
            FileError error = _volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            return IsReadOnly ? FileError.ReadOnly : _attributes.Remove(number, record, name);
        }
    }

    /// <summary>Frees what had lost its last name while somebody held it, in an earlier session. Returns how many.</summary>
    public long DestroyOrphans() => _life.DestroyOrphans();

    /// <summary>The clean end: nobody holds anything any more, what was mapped ahead is given back, everything is home and the image says so.</summary>
    /// <exception cref="DurabilityLostException">A fence failed, now or before: the next opening has to replay the journal.</exception>
    public void Close()
    {
        if (IsReadOnly) return;
        _volume.Journal.ThrowIfFailed();
        _volume.Held.ReleaseAll();
        DestroyOrphans();
        foreach (uint number in _volume.Held.AllAhead()) Closed(number);
        _volume.Journal.Checkpoint();
        StateWords.TryUnpackState(_region.Word(PmLayout.StateOffset), out ulong session, out _);
        MetadataJournal.StoreWord(_region, PmLayout.StateOffset, StateWords.PackState(session, inUse: false));
    }

    // A node's number as an inode's; 0 for what cannot be one.
    private static uint Number(ulong node) => node > uint.MaxValue ? 0 : (uint)node;
}
