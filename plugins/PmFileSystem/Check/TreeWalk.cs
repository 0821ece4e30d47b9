using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>Visits every directory once: first those that paths lead to from the root, then those that none leads to.</summary>
internal sealed class TreeWalk(CheckScan scan, InodeCheck inodes) : IEntryTaker
{
    private readonly DirectoryWalk _walk = new(scan);
    private bool _isReached;
    private uint _subdirectories;
    private uint _last;

    public void Run()
    {
        ref InodeFacts root = ref scan.Know(PmLayout.RootInode);
        if (root.Kind != NodeKind.Directory)
        {
            scan.Findings.Corruption($"inode {PmLayout.RootInode}: it is the root, and no directory (kind {(int)root.Kind})");
            scan.HasBrokenDirectories = scan.HasBrokenPointers = true;
        }
        else
        {
            (root.Parent, _isReached, _last) = (PmLayout.RootInode, true, PmLayout.RootInode);
            root.Signs |= InodeSigns.Reached;
            for (uint next = PmLayout.RootInode; next != 0; next = scan.Inodes[next].Next) Visit(next);
        }

        VisitLost();
    }

    // Their entries count as names: what is lost with a directory is no leak.
    private void VisitLost()
    {
        _isReached = false;
        foreach (uint inode in scan.KnownInodes())
        {
            InodeFacts facts = scan.Inodes[inode];
            if (facts.Kind == NodeKind.Directory && !facts.Has(InodeSigns.Walked) && scan.ReadInode(inode).Entries > 0) Visit(inode);
        }
    }

    private void Visit(uint directory)
    {
        scan.Inodes[directory].Signs |= InodeSigns.Walked;
        Judgement judgement = inodes.Begin(directory);
        _subdirectories = 0;
        DirectoryTotals totals = _walk.Run(directory, judgement.Record, this);
        inodes.EndDirectory(ref judgement, totals, _subdirectories);
    }

    public void Take(uint directory, uint inode, ReadOnlySpan<byte> name, int type)
    {
        if (inode >= scan.Geometry.Inodes)
        {
            scan.Findings.Corruption($"directory {directory}: '{name}' names inode {inode}; at most {scan.Geometry.Inodes - 1} expected");
            return;
        }

        ref InodeFacts facts = ref scan.Know(inode);
        if (facts.Names < uint.MaxValue) facts.Names++;
        if (!facts.Has(InodeSigns.Taken)) scan.Findings.Corruption($"directory {directory}: '{name}' names inode {inode}, which is free in the bitmap");
        if (type != (int)facts.Kind) scan.Findings.Corruption($"directory {directory}: '{name}' is said to be of kind {type}, and inode {inode} is of kind {(int)facts.Kind}");
        if (_isReached) facts.Signs |= InodeSigns.Reached;
        if (facts.Kind == NodeKind.Directory) TakeDirectory(directory, inode, name, ref facts);
    }

    private void TakeDirectory(uint directory, uint inode, ReadOnlySpan<byte> name, ref InodeFacts facts)
    {
        _subdirectories++;
        if (facts.Parent != 0)
        {
            scan.Findings.Corruption($"directory {directory}: '{name}' is a second name of directory {inode}, which is in directory {facts.Parent}");
            return;
        }

        facts.Parent = directory;
        if (!_isReached) return;
        scan.Inodes[_last].Next = inode;
        _last = inode;
    }
}
