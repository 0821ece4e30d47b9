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
            FileError error = OpenDirectory(directory, name, out InodeRecord record);
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
        using (_volume.Locks.Write(number)) DestroyIfGone(number);
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
            if (error == FileError.None) attributes = Describe(number, record);
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
            ref InodeRecord inode = ref transaction.Edit(number);
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
            attributes = Describe(number, after);
            return FileError.None;
        }
    }

    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        var kind = (NodeKind)(request.Mode >> 12);
        if (!Enum.IsDefined(kind) || kind == NodeKind.SymbolicLink) return FileError.InvalidArgument;
        return Make(Number(parent), name, request, kind, [], out node);
    }

    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        if (target.Length == 0 || target.Contains((byte)0)) return FileError.InvalidArgument;
        if (target.Length > PmLayout.MostTargetBytes) return FileError.NameTooLong;
        return Make(Number(parent), name, request with { Mode = ((uint)NodeKind.SymbolicLink << 12) | 0x1ff }, NodeKind.SymbolicLink, target, out node);
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

    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes)
    {
        attributes = default;
        (uint number, uint directory) = (Number(node), Number(newParent));
        using (_volume.Locks.Write([number, directory]))
        {
            FileError error = OpenForNewName(directory, newName, out ulong hash, out ulong leaf);
            if (error != FileError.None) return error;
            error = _volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            if (record.Kind == NodeKind.Directory) return FileError.NotPermitted;
            if (record.Links == 0) return FileError.NotFound;
            if (record.Links >= PmLayout.MostLinks) return FileError.TooManyLinks;
            Transaction transaction = _volume.Journal.Begin();
            DirectoryIndex.Insert(transaction, leaf, newName, hash, number, record.Kind);
            long now = _volume.Clock.Now();
            AddName(transaction, directory, now, 0);
            ref InodeRecord inode = ref transaction.Edit(number);
            inode.Links++;
            inode.ChangeTime = now;
            _volume.Commit(transaction);
            _volume.Held.Hold(number);
            _region.ReadInode(number, out InodeRecord after);
            attributes = Describe(number, after);
            return FileError.None;
        }
    }

    public FileError Remove(ulong parent, ReadOnlySpan<byte> name) => RemoveName(Number(parent), name, isDirectory: false);

    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name) => RemoveName(Number(parent), name, isDirectory: true);

    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode)
    {
        if (mode is not (RenameMode.Replace or RenameMode.Keep or RenameMode.Exchange)) return FileError.InvalidArgument;
        (uint from, uint to) = (Number(parent), Number(newParent));
        if (from == to) return new Renaming(this, from, to, mode).Run(name, newName);
        lock (_moving) return new Renaming(this, from, to, mode).Run(name, newName);
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
            FileError error = OpenDirectory(number, "x"u8, out InodeRecord record);
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

    /// <summary>Frees what lost its last name while somebody held it, in an earlier session. Returns how many.</summary>
    public long DestroyOrphans()
    {
        long destroyed = 0;
        Geometry geometry = _region.Geometry;
        for (uint first = 0; first < geometry.Inodes; first += 64)
        {
            ulong word = _region.Word(geometry.OrphanBitmap + (first / 8));
            for (; word != 0; word &= word - 1)
            {
                uint number = first + (uint)System.Numerics.BitOperations.TrailingZeroCount(word);
                if (number >= geometry.Inodes) break;
                _region.ReadInode(number, out InodeRecord record);
                if (record.Mode == 0 || record.Links != 0) throw _region.Damaged($"inode {number} is marked as an orphan and is none");
                using (_volume.Locks.Write(number)) DestroyIfGone(number);
                destroyed++;
            }
        }

        return destroyed;
    }

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

    private static FileError Judge(ReadOnlySpan<byte> name)
    {
        if (name.Length > PmLayout.MostNameBytes) return FileError.NameTooLong;
        return name.Length == 0 || name.IndexOfAny((byte)0, (byte)'/') >= 0 || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8)
            ? FileError.InvalidArgument
            : FileError.None;
    }

    private static NodeAttributes Describe(uint number, in InodeRecord record) => new()
    {
        Node = number, Generation = record.Generation, Mode = record.Mode, Links = record.Links, UserId = record.UserId, GroupId = record.GroupId, Device = record.Device,
        Size = record.Size, AllocatedBytes = record.Blocks << PmLayout.BlockShift,
        AccessTime = record.AccessTime, ModificationTime = record.ModificationTime, ChangeTime = record.ChangeTime, BirthTime = record.BirthTime,
    };

    // A directory in which a name is looked for.
    private FileError OpenDirectory(uint number, ReadOnlySpan<byte> name, out InodeRecord record)
    {
        FileError error = _volume.Read(number, out record);
        if (error != FileError.None) return error;
        if (record.Kind != NodeKind.Directory) return FileError.NotDirectory;
        return record.Links == 0 ? FileError.NotFound : Judge(name);
    }

    // A directory, locked for writing, that is to get a name: not taken, and with room for it.
    private FileError OpenForNewName(uint number, ReadOnlySpan<byte> name, out ulong hash, out ulong leaf)
    {
        (hash, leaf) = (0, 0);
        FileError error = OpenDirectory(number, name, out InodeRecord record);
        if (error != FileError.None) return error;
        hash = _index.Hash(name);
        if (_index.TryFind(number, record, name, hash, out _)) return FileError.Exists;
        if (IsReadOnly) return FileError.ReadOnly;
        leaf = _index.MakeRoom(number, name.Length, hash);
        return leaf == 0 ? FileError.NoSpace : FileError.None;
    }

    // What the directory itself notes of a further name; directories is the change in the number of directories in it.
    private static void AddName(Transaction transaction, uint number, long now, int directories)
    {
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Entries++;
        directory.Links = (uint)(directory.Links + directories);
        directory.ModificationTime = directory.ChangeTime = now;
    }

    private static void TakeName(Transaction transaction, uint number, long now, int directories)
    {
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Entries--;
        directory.Links = (uint)(directory.Links - directories);
        directory.ModificationTime = directory.ChangeTime = now;
    }

    private FileError Make(uint parent, ReadOnlySpan<byte> name, in NodeRequest request, NodeKind kind, ReadOnlySpan<byte> target, out NodeAttributes node)
    {
        node = default;
        // First, so that it can be locked with the directory: somebody may still ask for it by its number.
        if (IsReadOnly || !_volume.Inodes.TryTake(out uint number))
        {
            FileError reason = Find(parent, name, out _);
            return reason == FileError.None ? FileError.Exists : reason != FileError.NotFound ? reason : IsReadOnly ? FileError.ReadOnly : FileError.NoSpace;
        }

        FileError error;
        using (_volume.Locks.Write([parent, number]))
        {
            error = MakeLocked(parent, number, name, request, kind, target, out node);
            if (error == FileError.None) _volume.Held.Hold(number);
        }

        if (error != FileError.None) _volume.Inodes.GiveBack(number);
        return error;
    }

    private FileError MakeLocked(
        uint parent, uint number, ReadOnlySpan<byte> name, in NodeRequest request, NodeKind kind, ReadOnlySpan<byte> target, out NodeAttributes node)
    {
        node = default;
        FileError error = OpenForNewName(parent, name, out ulong hash, out ulong leaf);
        if (error != FileError.None) return error;
        bool isDirectory = kind == NodeKind.Directory;
        Transaction transaction = _volume.Journal.Begin();
        if (isDirectory && transaction.Edit(parent).Links >= PmLayout.MostLinks) return FileError.TooManyLinks;
        long now = _volume.Clock.Now();
        ref InodeRecord inode = ref transaction.Edit(number);
        uint generation = inode.Generation + 1;
        inode = default;
        inode.Generation = generation;
        (inode.Mode, inode.UserId, inode.GroupId) = (request.Mode & 0xffff, request.UserId, request.GroupId);
        inode.AccessTime = inode.ModificationTime = inode.ChangeTime = inode.BirthTime = now;
        inode.Links = isDirectory ? 2u : 1u;
        if (isDirectory) inode.Parent = parent;
        if (kind is NodeKind.BlockDevice or NodeKind.CharacterDevice) inode.Device = request.Device;
        if (target.Length > 0 && !TryPutTarget(transaction, ref inode, target)) return FileError.NoSpace;
        transaction.Bits(ChangeKind.TakeInodes, number, 1);
        DirectoryIndex.Insert(transaction, leaf, name, hash, number, kind);
        node = Describe(number, inode);
        AddName(transaction, parent, now, isDirectory ? 1 : 0);
        _volume.Commit(transaction);
        return FileError.None;
    }

    private bool TryPutTarget(Transaction transaction, ref InodeRecord inode, ReadOnlySpan<byte> target)
    {
        inode.Size = target.Length;
        if (target.Length <= PmLayout.InlineTargetBytes)
        {
            target.CopyTo(System.Runtime.InteropServices.MemoryMarshal.AsBytes((Span<ulong>)inode.Direct));
            return true;
        }

        if (!_volume.TryTake(transaction, 0, 1, out BlockRun run)) return false;
        transaction.StoreInPlace((long)run.First << PmLayout.BlockShift, target);
        inode.Direct[0] = run.First;
        inode.Blocks = 1;
        return true;
    }

    private FileError RemoveName(uint parent, ReadOnlySpan<byte> name, bool isDirectory)
    {
        while (true)
        {
            FileError error = Find(parent, name, out uint number);
            if (error != FileError.None) return error;
            using (_volume.Locks.Write([parent, number]))
            {
                error = OpenDirectory(parent, name, out InodeRecord directory);
                if (error != FileError.None) return error;
                if (!_index.TryFind(parent, directory, name, _index.Hash(name), out EntryPlace place)) return FileError.NotFound;
                // Another one has taken the name meanwhile.
                if (place.Entry.Inode != number) continue;
                error = _volume.Read(number, out InodeRecord record);
                if (error != FileError.None) throw _region.Damaged($"a name of directory {parent} refers to inode {number}, which is free");
                if (isDirectory != (record.Kind == NodeKind.Directory)) return isDirectory ? FileError.NotDirectory : FileError.IsDirectory;
                if (isDirectory && record.Entries > 0) return FileError.NotEmpty;
                if (IsReadOnly) return FileError.ReadOnly;
                Transaction transaction = _volume.Journal.Begin();
                DirectoryLeaf.Remove(transaction.EditLeaf(place.Leaf), place.Entry.Offset);
                long now = _volume.Clock.Now();
                TakeName(transaction, parent, now, isDirectory ? 1 : 0);
                bool isGone = DropName(transaction, number, now);
                _volume.Commit(transaction);
                if (isGone) DestroyIfGone(number);
                return FileError.None;
            }
        }
    }

    private FileError Find(uint parent, ReadOnlySpan<byte> name, out uint number)
    {
        number = 0;
        using (_volume.Locks.Read(parent))
        {
            FileError error = OpenDirectory(parent, name, out InodeRecord directory);
            if (error != FileError.None) return error;
            if (!_index.TryFind(parent, directory, name, _index.Hash(name), out EntryPlace place)) return FileError.NotFound;
            number = place.Entry.Inode;
            return FileError.None;
        }
    }

    // One name less. The last one makes it an orphan, or, where it is small and nobody holds it, ends it in the same transaction.
    private bool DropName(Transaction transaction, uint number, long now)
    {
        ref InodeRecord inode = ref transaction.Edit(number);
        inode.ChangeTime = now;
        inode.Links = inode.Kind == NodeKind.Directory ? 0 : inode.Links - 1;
        if (inode.Links > 0) return false;
        if (!_volume.Held.IsHeld(number) && inode.Root == 0 && !transaction.IsNearlyFull)
        {
            End(transaction, number, ref inode);
            return false;
        }

        transaction.Bits(ChangeKind.Orphan, number, 1);
        return true;
    }

    // The inode is locked. What has no name and is not held goes: its blocks first, in as many transactions as it takes.
    private void DestroyIfGone(uint number)
    {
        _region.ReadInode(number, out InodeRecord record);
        if (record.Mode == 0 || record.Links != 0 || _volume.Held.IsHeld(number)) return;
        _volume.Held.TakeAhead(number);
        if (record.Kind == NodeKind.Directory) _index.Clear(number);
        else if (record.Kind == NodeKind.File) _content.Map.Unmap(number, 0, long.MaxValue);
        Transaction transaction = _volume.Journal.Begin();
        transaction.Bits(ChangeKind.NoOrphan, number, 1);
        End(transaction, number, ref transaction.Edit(number));
        _volume.Commit(transaction);
    }

    private void End(Transaction transaction, uint number, ref InodeRecord inode)
    {
        if (inode.Attributes != 0) transaction.Free(new BlockRun(_region.Checked(inode.Attributes), 1));
        if (inode.Kind == NodeKind.File) _content.Map.FreeDirect(transaction, ref inode, 0, PmLayout.DirectBlocks);
        else if (inode.Kind == NodeKind.SymbolicLink && inode.Size > PmLayout.InlineTargetBytes) transaction.Free(new BlockRun(_region.Checked(inode.Direct[0]), 1));
        uint generation = inode.Generation;
        inode = default;
        inode.Generation = generation;
        transaction.Bits(ChangeKind.GiveBackInodes, number, 1);
        transaction.FreedInodes.Add(number);
    }

    /// <summary>One renaming: what it found, checked again under the locks.</summary>
    private readonly struct Renaming(PmTree tree, uint from, uint to, RenameMode mode)
    {
        public FileError Run(ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName)
        {
            while (true)
            {
                FileError error = tree.Find(from, name, out uint moved);
                if (error != FileError.None) return error;
                error = tree.Find(to, newName, out uint other);
                if (error is not (FileError.None or FileError.NotFound)) return error;
                if (error == FileError.NotFound && mode == RenameMode.Exchange) return error;
                if (IsBelow(moved, to) || (mode == RenameMode.Exchange && IsBelow(other, from))) return FileError.InvalidArgument;
                // A directory cannot replace one that it is in; that one is not empty then.
                if (other != 0 && mode == RenameMode.Replace && IsBelow(other, from)) return FileError.NotEmpty;
                using (tree._volume.Locks.Write([from, to, moved, other]))
                {
                    error = Perform(name, newName, moved, other, out bool isStale, out uint gone);
                    if (isStale) continue;
                    if (gone != 0) tree.DestroyIfGone(gone);
                    return error;
                }
            }
        }

        // Whether a directory is another one or above it. Only a move between directories changes that, and there is one at a time.
        private bool IsBelow(uint above, uint directory)
        {
            if (above == 0 || from == to) return above != 0 && above == directory;
            uint at = directory;
            for (uint steps = 0; steps < tree._region.Geometry.Inodes; steps++)
            {
                if (at == above) return true;
                if (at == PmLayout.RootInode) return false;
                tree._region.ReadInode(at, out InodeRecord record);
                if (record.Kind != NodeKind.Directory || record.Links == 0) return false;
                at = record.Parent;
            }

            throw tree._region.Damaged($"directory {directory} is in a ring of directories");
        }

        private FileError Perform(ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName, uint moved, uint other, out bool isStale, out uint gone)
        {
            (isStale, gone) = (false, 0);
            FileError error = tree.OpenDirectory(from, name, out InodeRecord source);
            if (error == FileError.None) error = tree.OpenDirectory(to, newName, out _);
            if (error != FileError.None) return error;
            ulong hash = tree._index.Hash(name), newHash = tree._index.Hash(newName);
            tree._index.TryFind(from, source, name, hash, out EntryPlace place);
            tree._region.ReadInode(to, out InodeRecord target);
            tree._index.TryFind(to, target, newName, newHash, out EntryPlace newPlace);
            if (place.Entry.Inode != moved || newPlace.Entry.Inode != other)
            {
                isStale = true;
                return FileError.None;
            }

            if (tree._volume.Read(moved, out InodeRecord movedInode) != FileError.None) throw tree._region.Damaged($"a name refers to inode {moved}, which is free");
            InodeRecord otherInode = default;
            if (other != 0 && tree._volume.Read(other, out otherInode) != FileError.None) throw tree._region.Damaged($"a name refers to inode {other}, which is free");
            error = Judge(moved, movedInode, other, otherInode, target);
            if (error != FileError.None || moved == other) return error;
            if (tree.IsReadOnly) return FileError.ReadOnly;
            return mode == RenameMode.Exchange
                ? Exchange(place, newPlace, moved, movedInode, other, otherInode)
                : Move(name, hash, newName, newHash, moved, movedInode, other, otherInode, ref gone);
        }

        private FileError Judge(uint moved, in InodeRecord movedInode, uint other, in InodeRecord otherInode, in InodeRecord target)
        {
            bool isDirectory = movedInode.Kind == NodeKind.Directory;
            if (other != 0 && mode == RenameMode.Keep) return FileError.Exists;
            if (moved == other) return FileError.None;
            if (other != 0 && mode == RenameMode.Replace)
            {
                if (isDirectory != (otherInode.Kind == NodeKind.Directory)) return isDirectory ? FileError.NotDirectory : FileError.IsDirectory;
                if (otherInode.Kind == NodeKind.Directory && otherInode.Entries > 0) return FileError.NotEmpty;
            }

            return isDirectory && from != to && target.Links >= PmLayout.MostLinks ? FileError.TooManyLinks : FileError.None;
        }

        private FileError Exchange(EntryPlace place, EntryPlace newPlace, uint moved, in InodeRecord movedInode, uint other, in InodeRecord otherInode)
        {
            Transaction transaction = tree._volume.Journal.Begin();
            DirectoryLeaf.Redirect(transaction.EditLeaf(place.Leaf), place.Entry.Offset, other, otherInode.Kind);
            DirectoryLeaf.Redirect(transaction.EditLeaf(newPlace.Leaf), newPlace.Entry.Offset, moved, movedInode.Kind);
            long now = tree._volume.Clock.Now();
            int difference = (otherInode.Kind == NodeKind.Directory ? 1 : 0) - (movedInode.Kind == NodeKind.Directory ? 1 : 0);
            Touch(ref transaction.Edit(from), now, from == to ? 0 : difference);
            if (from != to) Touch(ref transaction.Edit(to), now, -difference);
            Arrive(ref transaction.Edit(moved), to, now);
            Arrive(ref transaction.Edit(other), from, now);
            tree._volume.Commit(transaction);
            return FileError.None;
        }

        private FileError Move(
            ReadOnlySpan<byte> name, ulong hash, ReadOnlySpan<byte> newName, ulong newHash, uint moved, in InodeRecord movedInode, uint other, in InodeRecord otherInode, ref uint gone)
        {
            ulong leaf = other == 0 ? tree._index.MakeRoom(to, newName.Length, newHash) : 0;
            if (other == 0 && leaf == 0) return FileError.NoSpace;
            // Making room may have moved either name to another leaf.
            tree._region.ReadInode(from, out InodeRecord source);
            tree._index.TryFind(from, source, name, hash, out EntryPlace place);
            Transaction transaction = tree._volume.Journal.Begin();
            int isDirectory = movedInode.Kind == NodeKind.Directory ? 1 : 0;
            long now = tree._volume.Clock.Now();
            if (other == 0)
            {
                DirectoryIndex.Insert(transaction, leaf, newName, newHash, moved, movedInode.Kind);
                AddName(transaction, to, now, isDirectory);
            }
            else
            {
                tree._region.ReadInode(to, out InodeRecord target);
                tree._index.TryFind(to, target, newName, newHash, out EntryPlace newPlace);
                DirectoryLeaf.Redirect(transaction.EditLeaf(newPlace.Leaf), newPlace.Entry.Offset, moved, movedInode.Kind);
                Touch(ref transaction.Edit(to), now, isDirectory - (otherInode.Kind == NodeKind.Directory ? 1 : 0));
            }

            DirectoryLeaf.Remove(transaction.EditLeaf(place.Leaf), place.Entry.Offset);
            TakeName(transaction, from, now, isDirectory);
            Arrive(ref transaction.Edit(moved), to, now);
            if (other != 0 && tree.DropName(transaction, other, now)) gone = other;
            tree._volume.Commit(transaction);
            return FileError.None;
        }

        private static void Touch(ref InodeRecord directory, long now, int directories)
        {
            directory.Links = (uint)(directory.Links + directories);
            directory.ModificationTime = directory.ChangeTime = now;
        }

        private static void Arrive(ref InodeRecord inode, uint parent, long now)
        {
            if (inode.Kind == NodeKind.Directory) inode.Parent = parent;
            inode.ChangeTime = now;
        }
    }
}
