using StoragePlugins.PmFileSystem.Directories;
using StoragePlugins.PmFileSystem.Files;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Nodes;

/// <summary>How nodes end: their last name goes, nobody holds them any more, their blocks are freed. Inodes that are changed are locked by the caller.</summary>
internal sealed class NodeLife(Volume volume, FileContent content, DirectoryIndex index)
{
    /// <summary>Frees what lost its last name while somebody held it, in an earlier session. Returns how many.</summary>
    public long DestroyOrphans()
    {
        long destroyed = 0;
        Geometry geometry = volume.Region.Geometry;
        for (uint first = 0; first < geometry.Inodes; first += 64)
        {
            ulong word = volume.Region.Word(geometry.OrphanBitmap + (first / 8));
            for (; word != 0; word &= word - 1)
            {
                uint number = first + (uint)System.Numerics.BitOperations.TrailingZeroCount(word);
                if (number >= geometry.Inodes) break;
                volume.Region.ReadInode(number, out InodeRecord record);
                if (record.Mode == 0 || record.Links != 0) throw volume.Region.Damaged($"inode {number} is marked as an orphan and is none");
                using (volume.Locks.Write(number)) DestroyIfGone(number);
                destroyed++;
            }
        }

        return destroyed;
    }

    /// <summary>One name less. The last one makes it an orphan, or, where it is small and nobody holds it, ends it in the same transaction.</summary>
    /// <returns>True for an orphan: <see cref="DestroyIfGone"/> is to follow the commit.</returns>
    public bool DropName(Transaction transaction, uint number, long now)
    {
        ref InodeRecord inode = ref transaction.Edit(number);
        inode.ChangeTime = now;
        inode.Links = inode.Kind == NodeKind.Directory ? 0 : inode.Links - 1;
        if (inode.Links > 0) return false;
        if (!volume.Held.IsHeld(number) && inode.Root == 0 && !transaction.IsNearlyFull)
        {
            End(transaction, number, ref inode);
            return false;
        }

        transaction.Bits(ChangeKind.Orphan, number, 1);
        return true;
    }

    /// <summary>What has no name and is not held goes: its blocks first, in as many transactions as it takes.</summary>
    public void DestroyIfGone(uint number)
    {
        volume.Region.ReadInode(number, out InodeRecord record);
        if (record.Mode == 0 || record.Links != 0 || volume.Held.IsHeld(number)) return;
        volume.Held.TakeAhead(number);
        if (record.Kind == NodeKind.Directory) index.Clear(number);
        else if (record.Kind == NodeKind.File) content.Map.Unmap(number, 0, long.MaxValue);
        Transaction transaction = volume.Journal.Begin();
        transaction.Bits(ChangeKind.NoOrphan, number, 1);
        End(transaction, number, ref transaction.Edit(number));
        volume.Commit(transaction);
    }

    private void End(Transaction transaction, uint number, ref InodeRecord inode)
    {
        if (inode.Attributes != 0) transaction.Free(new BlockRun(volume.Region.Checked(inode.Attributes), 1));
        if (inode.Kind == NodeKind.File) content.Map.FreeDirect(transaction, ref inode, 0, PmLayout.DirectBlocks);
        else if (inode.Kind == NodeKind.SymbolicLink && inode.Size > PmLayout.InlineTargetBytes) transaction.Free(new BlockRun(volume.Region.Checked(inode.Direct[0]), 1));
        uint generation = inode.Generation;
        inode = default;
        inode.Generation = generation;
        transaction.Bits(ChangeKind.GiveBackInodes, number, 1);
        transaction.FreedInodes.Add(number);
    }
}
