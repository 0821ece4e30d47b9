using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Nodes;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem;

/// <summary>An open file system: the region, its journal, who has what, and the locks. Thread-safe.</summary>
internal sealed class Volume
{
    public Volume(PmRegion region, ulong floor, bool readOnly)
    {
        Region = region;
        IsReadOnly = readOnly;
        Blocks = new BlockAllocator(region);
        Inodes = new InodeAllocator(region);
        Journal = new MetadataJournal(region, new Home(region), floor) { Emptied = Blocks.GiveBackWaiting };
    }

    public PmRegion Region { get; }

    public bool IsReadOnly { get; }

    public MetadataJournal Journal { get; }

    public BlockAllocator Blocks { get; }

    public InodeAllocator Inodes { get; }

    public NodeLocks Locks { get; } = new();

    public HeldNodes Held { get; } = new();

    public CoarseClock Clock { get; } = new();

    /// <summary>Makes a transaction count, and what it freed free. Durable on return; the transaction is empty then and goes on.</summary>
    public void Commit(Transaction transaction)
    {
        if (transaction.FreesAnything)
        {
            foreach (BlockRun run in transaction.Freed) Blocks.Know(run);
            foreach (ulong block in transaction.FreedLater) Blocks.Know(new BlockRun(block, 1));
            foreach (uint inode in transaction.FreedInodes) Inodes.Know(inode);
        }

        Journal.Commit(transaction);
        if (transaction.FreesAnything)
        {
            foreach (BlockRun run in transaction.Freed) Blocks.GiveBack(run);
            foreach (ulong block in transaction.FreedLater) Blocks.GiveBackLater(block);
            foreach (uint inode in transaction.FreedInodes) Inodes.GiveBack(inode);
        }

        transaction.Reset(Region);
    }

    /// <summary>Gives a transaction up: nothing of it counts.</summary>
    public void GiveUp(Transaction transaction)
    {
        foreach (BlockRun run in transaction.Taken) Blocks.GiveBack(run);
        transaction.Reset(Region);
    }

    /// <summary>Takes blocks for a transaction. When there are none, those that wait for the journal are fetched.</summary>
    public bool TryTake(Transaction transaction, ulong goal, long want, out BlockRun run)
    {
        if (!Blocks.TryTake(goal, want, out run) && !(TryFetchWaiting() && Blocks.TryTake(goal, want, out run))) return false;
        transaction.Take(run);
        return true;
    }

    /// <summary>Whether so many blocks are free, those that wait for the journal included.</summary>
    public bool HasRoom(long blocks) => Blocks.HasFree(blocks) || (TryFetchWaiting() && Blocks.HasFree(blocks));

    /// <summary>Reads an inode that somebody asks for by number. It is locked.</summary>
    /// <returns><see cref="FileError.Stale"/> when there is none.</returns>
    /// <exception cref="StorageException">Its checksum is wrong.</exception>
    public FileError Read(uint inode, out InodeRecord record)
    {
        if (inode == 0 || inode >= Region.Geometry.Inodes)
        {
            record = default;
            return FileError.Stale;
        }

        Region.ReadInode(inode, out record);
        if (record.Mode == 0) return FileError.Stale;
        if (record.Checksum != record.ComputeChecksum(inode)) throw Region.Damaged($"the checksum of inode {inode} is wrong");
        return FileError.None;
    }

    private bool TryFetchWaiting()
    {
        if (!Blocks.AnyWaiting) return false;
        Journal.Checkpoint();
        return true;
    }
}
