using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Nodes;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>Names and the nodes that they are of: finding, making, linking, removing. Calls without a word on locks take them.</summary>
internal sealed class Names(Volume volume, DirectoryIndex index, NodeLife life)
{
    /// <summary>A directory, locked, in which a name is looked for.</summary>
    public FileError OpenDirectory(uint number, ReadOnlySpan<byte> name, out InodeRecord record)
    {
        FileError error = volume.Read(number, out record);
        if (error != FileError.None) return error;
        if (record.Kind != NodeKind.Directory) return FileError.NotDirectory;
        return record.Links == 0 ? FileError.NotFound : Judge(name);
    }

    /// <summary>A directory, locked for writing, that is to get a name: not taken, and with room for it.</summary>
    public FileError OpenForNewName(uint number, ReadOnlySpan<byte> name, out ulong hash, out ulong leaf)
    {
        (hash, leaf) = (0, 0);
        FileError error = OpenDirectory(number, name, out InodeRecord record);
        if (error != FileError.None) return error;
        hash = index.Hash(name);
        if (index.TryFind(number, record, name, hash, out _)) return FileError.Exists;
        if (volume.IsReadOnly) return FileError.ReadOnly;
        leaf = index.MakeRoom(number, name.Length, hash);
        return leaf == 0 ? FileError.NoSpace : FileError.None;
    }

    /// <summary>What the directory itself notes of a further name; <paramref name="directories"/> is the change in the number of directories in it.</summary>
    public static void AddName(Transaction transaction, uint number, long now, int directories)
    {
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Entries++;
        directory.Links = (uint)(directory.Links + directories);
        directory.ModificationTime = directory.ChangeTime = now;
    }

    /// <summary>What the directory itself notes of a name less.</summary>
    public static void TakeName(Transaction transaction, uint number, long now, int directories)
    {
        ref InodeRecord directory = ref transaction.Edit(number);
        directory.Entries--;
        directory.Links = (uint)(directory.Links - directories);
        directory.ModificationTime = directory.ChangeTime = now;
    }

    /// <summary>Makes a node with a name, and holds it.</summary>
    public FileError Make(uint parent, ReadOnlySpan<byte> name, in NodeRequest request, NodeKind kind, ReadOnlySpan<byte> target, out NodeAttributes node)
    {
        node = default;
        // First, so that it can be locked with the directory: somebody may still ask for it by its number.
        if (volume.IsReadOnly || !volume.Inodes.TryTake(out uint number))
        {
            FileError reason = Find(parent, name, out _);
            return reason == FileError.None ? FileError.Exists : reason != FileError.NotFound ? reason : volume.IsReadOnly ? FileError.ReadOnly : FileError.NoSpace;
        }

        FileError error;
        using (volume.Locks.Write([parent, number]))
        {
            error = MakeLocked(parent, number, name, request, kind, target, out node);
            if (error == FileError.None) volume.Held.Hold(number);
        }

        if (error != FileError.None) volume.Inodes.GiveBack(number);
        return error;
    }

    private FileError MakeLocked(
        uint parent, uint number, ReadOnlySpan<byte> name, in NodeRequest request, NodeKind kind, ReadOnlySpan<byte> target, out NodeAttributes node)
    {
        node = default;
        FileError error = OpenForNewName(parent, name, out ulong hash, out ulong leaf);
        if (error != FileError.None) return error;
        bool isDirectory = kind == NodeKind.Directory;
        Transaction transaction = volume.Journal.Begin();
        if (isDirectory && transaction.Edit(parent).Links >= PmLayout.MostLinks) return FileError.TooManyLinks;
        long now = volume.Clock.Now();
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
        node = inode.Describe(number);
        AddName(transaction, parent, now, isDirectory ? 1 : 0);
        volume.Commit(transaction);
        return FileError.None;
    }

    private bool TryPutTarget(Transaction transaction, ref InodeRecord inode, ReadOnlySpan<byte> target)
    {
        inode.Size = target.Length;
        if (target.Length <= PmLayout.InlineTargetBytes)
        {
            target.CopyTo(MemoryMarshal.AsBytes((Span<ulong>)inode.Direct));
            return true;
        }

        if (!volume.TryTake(transaction, 0, 1, out BlockRun run)) return false;
        transaction.StoreInPlace(PmLayout.PlaceOf(run.First), target);
        inode.Direct[0] = run.First;
        inode.Blocks = 1;
        return true;
    }

    /// <summary>Takes a name away, from a directory or from anything else.</summary>
    public FileError Remove(uint parent, ReadOnlySpan<byte> name, bool isDirectory)
    {
        while (true)
        {
            FileError error = Find(parent, name, out uint number);
            if (error != FileError.None) return error;
            using (volume.Locks.Write([parent, number]))
            {
                error = OpenDirectory(parent, name, out InodeRecord directory);
                if (error != FileError.None) return error;
                if (!index.TryFind(parent, directory, name, index.Hash(name), out EntryPlace place)) return FileError.NotFound;
                // Another one has taken the name meanwhile.
                if (place.Entry.Inode != number) continue;
                error = volume.Read(number, out InodeRecord record);
                if (error != FileError.None) throw volume.Region.Damaged($"a name of directory {parent} refers to inode {number}, which is free");
                if (isDirectory != (record.Kind == NodeKind.Directory)) return isDirectory ? FileError.NotDirectory : FileError.IsDirectory;
                if (isDirectory && record.Entries > 0) return FileError.NotEmpty;
                if (volume.IsReadOnly) return FileError.ReadOnly;
                Transaction transaction = volume.Journal.Begin();
                DirectoryLeaf.Remove(transaction.EditLeaf(place.Leaf), place.Entry.Offset);
                long now = volume.Clock.Now();
                TakeName(transaction, parent, now, isDirectory ? 1 : 0);
                bool isGone = life.DropName(transaction, number, now);
                volume.Commit(transaction);
                if (isGone) life.DestroyIfGone(number);
                return FileError.None;
            }
        }
    }

    /// <summary>The inode that has a name now.</summary>
    public FileError Find(uint parent, ReadOnlySpan<byte> name, out uint number)
    {
        number = 0;
        using (volume.Locks.Read(parent))
        {
            FileError error = OpenDirectory(parent, name, out InodeRecord directory);
            if (error != FileError.None) return error;
            if (!index.TryFind(parent, directory, name, index.Hash(name), out EntryPlace place)) return FileError.NotFound;
            number = place.Entry.Inode;
            return FileError.None;
        }
    }

    /// <summary>Gives an inode a further name, and holds it.</summary>
    public FileError Link(uint number, uint directory, ReadOnlySpan<byte> newName, out NodeAttributes attributes)
    {
        attributes = default;
        using (volume.Locks.Write([number, directory]))
        {
            FileError error = OpenForNewName(directory, newName, out ulong hash, out ulong leaf);
            if (error != FileError.None) return error;
            error = volume.Read(number, out InodeRecord record);
            if (error != FileError.None) return error;
            if (record.Kind == NodeKind.Directory) return FileError.NotPermitted;
            if (record.Links == 0) return FileError.NotFound;
            if (record.Links >= PmLayout.MostLinks) return FileError.TooManyLinks;
            Transaction transaction = volume.Journal.Begin();
            DirectoryIndex.Insert(transaction, leaf, newName, hash, number, record.Kind);
            long now = volume.Clock.Now();
            AddName(transaction, directory, now, 0);
            ref InodeRecord inode = ref transaction.Edit(number);
            inode.Links++;
            inode.ChangeTime = now;
            attributes = inode.Describe(number);
            volume.Commit(transaction);
            volume.Held.Hold(number);
            return FileError.None;
        }
    }

    private static FileError Judge(ReadOnlySpan<byte> name)
    {
        if (name.Length > PmLayout.MostNameBytes) return FileError.NameTooLong;
        return name.Length == 0 || name.IndexOfAny((byte)0, (byte)'/') >= 0 || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8)
            ? FileError.InvalidArgument
            : FileError.None;
    }
}
