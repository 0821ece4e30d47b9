using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>One pass over an image: who refers to which block, which names an inode has, and what of it is wrong.</summary>
/// <remarks>Memory: a bit and at most 4 bytes a block, 2 bits and at most 16 bytes an inode. Every structure is read once; what is claimed already is not entered again.</remarks>
internal sealed class CheckScan
{
    private const int TableChunkBytes = 32 << 10;

    private readonly PagedTable<uint> _owners;
    private readonly byte[] _chunk = new byte[TableChunkBytes];
    private long _chunkStart = -1;

    private CheckScan(CheckedRegion region, Geometry geometry, Mender? mender)
    {
        (Region, Geometry, Mender) = (region, geometry, mender);
        _owners = new PagedTable<uint>(geometry.Blocks);
        Inodes = new PagedTable<InodeFacts>(geometry.Inodes);
        Blocks = new Bitmap(region, geometry.BlockBitmap, geometry.Blocks);
        Nodes = new Bitmap(region, geometry.NodeBitmap, geometry.Inodes);
        Orphans = new Bitmap(region, geometry.OrphanBitmap, geometry.Inodes);
    }

    public CheckedRegion Region { get; }

    public Geometry Geometry { get; }

    public CheckFindings Findings { get; } = new();

    /// <summary>What mends during this pass; <see langword="null"/> to look only.</summary>
    public Mender? Mender { get; }

    public PagedTable<InodeFacts> Inodes { get; }

    public Bitmap Blocks { get; }

    public Bitmap Nodes { get; }

    public Bitmap Orphans { get; }

    /// <summary>Blocks of files' data.</summary>
    public long DataBlocks { get; set; }

    /// <summary>A directory could not be read whole: what seems to have no name may have one there.</summary>
    public bool HasBrokenDirectories { get; set; }

    /// <summary>Something that refers to blocks could not be read whole: what seems to be leaked may belong to it.</summary>
    public bool HasBrokenPointers { get; set; }

    public static CheckScan Run(CheckedRegion region, Geometry geometry, Mender? mender)
    {
        var scan = new CheckScan(region, geometry, mender);
        foreach (long inode in scan.Nodes.All())
        {
            if (inode is > 0 && inode < geometry.Inodes) scan.Know((uint)inode);
        }

        var inodes = new InodeCheck(scan);
        new TreeWalk(scan, inodes).Run();
        inodes.Run();
        new BitmapCheck(scan).Run();
        return scan;
    }

    /// <summary>The record of an inode, as it is on the medium or will be.</summary>
    public InodeRecord ReadInode(uint inode)
    {
        long offset = Geometry.InodeOffset(inode), start = offset / TableChunkBytes * TableChunkBytes;
        if (start != _chunkStart)
        {
            Region.Read(start, _chunk);
            _chunkStart = start;
        }

        return System.Runtime.InteropServices.MemoryMarshal.Read<InodeRecord>(_chunk.AsSpan((int)(offset - start)));
    }

    /// <summary>Reads what is to be known of an inode; what is known stays.</summary>
    public ref InodeFacts Know(uint inode)
    {
        ref InodeFacts facts = ref Inodes[inode];
        if (facts.Has(InodeSigns.Known)) return ref facts;
        facts.Kind = ReadInode(inode).Kind;
        facts.Signs |= InodeSigns.Known;
        if (Nodes[inode]) facts.Signs |= InodeSigns.Taken;
        if (Orphans[inode]) facts.Signs |= InodeSigns.Orphan;
        return ref facts;
    }

    /// <summary>Notes that an inode refers to a block.</summary>
    /// <param name="block">As it stands in the inode's structures.</param>
    /// <param name="inode">The inode.</param>
    /// <param name="use">What for, for messages.</param>
    /// <param name="isSound">Set to false when something is wrong with the reference.</param>
    /// <returns>False when the block must not be read as what it should be.</returns>
    public bool Claim(ulong block, uint inode, string use, ref bool isSound)
    {
        if (!Geometry.IsDataBlock(block))
        {
            Findings.Corruption($"inode {inode}: block {block} ({use}) is none for data; {Geometry.FirstDataBlock} to {Geometry.EndOfData - 1} expected");
            return isSound = !(HasBrokenPointers = true);
        }

        ref uint owner = ref _owners[(long)block];
        if (owner != 0)
        {
            Findings.Corruption($"inode {inode}: block {block} ({use}) is referred to by inode {owner} already");
            return isSound = !(HasBrokenPointers = true);
        }

        owner = inode;
        if (Blocks[(long)block]) return true;
        Findings.Corruption($"inode {inode}: block {block} ({use}) is free in the bitmap");
        isSound = false;
        return true;
    }

    /// <summary>Who refers to a block; 0 for nobody.</summary>
    public uint OwnerOf(long block) => _owners.Peek(block);

    /// <summary>Whether anybody refers to one of a page of blocks.</summary>
    public bool HasOwners(int page) => _owners.Page(page) is not null;

    /// <summary>Inodes that are taken or named, in order.</summary>
    public IEnumerable<uint> KnownInodes()
    {
        for (int page = 0; page < Inodes.Pages; page++)
        {
            if (Inodes.Page(page) is not { } facts) continue;
            for (int i = 0; i < facts.Length; i++)
            {
                if (facts[i].Has(InodeSigns.Known)) yield return (uint)(((long)page * PagedTable<InodeFacts>.PageEntries) + i);
            }
        }
    }

    /// <summary>Writes an inode that was mended.</summary>
    public void Write(uint inode, InodeRecord record)
    {
        record.Checksum = record.ComputeChecksum(inode);
        Region.Write(Geometry.InodeOffset(inode), record.AsBytes(), ContentClass.FileSystem);
        _chunkStart = -1;
    }
}
