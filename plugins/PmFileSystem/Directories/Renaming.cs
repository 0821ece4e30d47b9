using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Nodes;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>One renaming: what it found, checked again under the locks.</summary>
internal readonly struct Renaming(Volume volume, DirectoryIndex index, Names names, NodeLife life, uint from, uint to, RenameMode mode)
{
    public FileError Run(ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName)
    {
        while (true)
        {
            FileError error = names.Find(from, name, out uint moved);
            if (error != FileError.None) return error;
            error = names.Find(to, newName, out uint other);
            if (error is not (FileError.None or FileError.NotFound)) return error;
            if (error == FileError.NotFound && mode == RenameMode.Exchange) return error;
            if (IsBelow(moved, to) || (mode == RenameMode.Exchange && IsBelow(other, from))) return FileError.InvalidArgument;
            // A directory cannot replace one that it is in; that one is not empty then.
            if (other != 0 && mode == RenameMode.Replace && IsBelow(other, from)) return FileError.NotEmpty;
            using (volume.Locks.Write([from, to, moved, other]))
            {
                error = Perform(name, newName, moved, other, out bool isStale, out uint gone);
                if (isStale) continue;
                if (gone != 0) life.DestroyIfGone(gone);
                return error;
            }
        }
    }

    // Whether a directory is another one or above it. Only a move between directories changes that, and there is one at a time.
    private bool IsBelow(uint above, uint directory)
    {
        if (above == 0 || from == to) return above != 0 && above == directory;
        uint at = directory;
        for (uint steps = 0; steps < volume.Region.Geometry.Inodes; steps++)
        {
            if (at == above) return true;
            if (at == PmLayout.RootInode) return false;
            volume.Region.ReadInode(at, out InodeRecord record);
            if (record.Kind != NodeKind.Directory || record.Links == 0) return false;
            at = record.Parent;
        }

        throw volume.Region.Damaged($"directory {directory} is in a ring of directories");
    }

    private FileError Perform(ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName, uint moved, uint other, out bool isStale, out uint gone)
    {
        (isStale, gone) = (false, 0);
        FileError error = names.OpenDirectory(from, name, out InodeRecord source);
        if (error == FileError.None) error = names.OpenDirectory(to, newName, out _);
        if (error != FileError.None) return error;
        ulong hash = index.Hash(name), newHash = index.Hash(newName);
        index.TryFind(from, source, name, hash, out EntryPlace place);
        volume.Region.ReadInode(to, out InodeRecord target);
        index.TryFind(to, target, newName, newHash, out EntryPlace newPlace);
        if (place.Entry.Inode != moved || newPlace.Entry.Inode != other)
        {
            isStale = true;
            return FileError.None;
        }

        if (volume.Read(moved, out InodeRecord movedInode) != FileError.None) throw volume.Region.Damaged($"a name refers to inode {moved}, which is free");
        InodeRecord otherInode = default;
        if (other != 0 && volume.Read(other, out otherInode) != FileError.None) throw volume.Region.Damaged($"a name refers to inode {other}, which is free");
        error = Judge(moved, movedInode, other, otherInode, target);
        if (error != FileError.None || moved == other) return error;
        if (volume.IsReadOnly) return FileError.ReadOnly;
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
        Transaction transaction = volume.Journal.Begin();
        DirectoryLeaf.Redirect(transaction.EditLeaf(place.Leaf), place.Entry.Offset, other, otherInode.Kind);
        DirectoryLeaf.Redirect(transaction.EditLeaf(newPlace.Leaf), newPlace.Entry.Offset, moved, movedInode.Kind);
        long now = volume.Clock.Now();
        int difference = (otherInode.Kind == NodeKind.Directory ? 1 : 0) - (movedInode.Kind == NodeKind.Directory ? 1 : 0);
        Touch(ref transaction.Edit(from), now, from == to ? 0 : difference);
        if (from != to) Touch(ref transaction.Edit(to), now, -difference);
        Arrive(ref transaction.Edit(moved), to, now);
        Arrive(ref transaction.Edit(other), from, now);
        volume.Commit(transaction);
        return FileError.None;
    }

    private FileError Move(
        ReadOnlySpan<byte> name, ulong hash, ReadOnlySpan<byte> newName, ulong newHash, uint moved, in InodeRecord movedInode, uint other, in InodeRecord otherInode, ref uint gone)
    {
        ulong leaf = other == 0 ? index.MakeRoom(to, newName.Length, newHash) : 0;
        if (other == 0 && leaf == 0) return FileError.NoSpace;
        // Making room may have moved either name to another leaf.
        volume.Region.ReadInode(from, out InodeRecord source);
        index.TryFind(from, source, name, hash, out EntryPlace place);
        Transaction transaction = volume.Journal.Begin();
        int isDirectory = movedInode.Kind == NodeKind.Directory ? 1 : 0;
        long now = volume.Clock.Now();
        if (other == 0)
        {
            DirectoryIndex.Insert(transaction, leaf, newName, newHash, moved, movedInode.Kind);
            Names.AddName(transaction, to, now, isDirectory);
        }
        else
        {
            volume.Region.ReadInode(to, out InodeRecord target);
            index.TryFind(to, target, newName, newHash, out EntryPlace newPlace);
            DirectoryLeaf.Redirect(transaction.EditLeaf(newPlace.Leaf), newPlace.Entry.Offset, moved, movedInode.Kind);
            Touch(ref transaction.Edit(to), now, isDirectory - (otherInode.Kind == NodeKind.Directory ? 1 : 0));
        }

        DirectoryLeaf.Remove(transaction.EditLeaf(place.Leaf), place.Entry.Offset);
        Names.TakeName(transaction, from, now, isDirectory);
        Arrive(ref transaction.Edit(moved), to, now);
        if (other != 0 && life.DropName(transaction, other, now)) gone = other;
        volume.Commit(transaction);
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
