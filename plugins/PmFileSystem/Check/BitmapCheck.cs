using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>Compares the bitmaps with what was found, and mends them.</summary>
internal sealed class BitmapCheck(CheckScan scan)
{
    private const int BitsPerWord = Bitmap.BitsPerWord;

    private long _runStart;
    private long _runEnd;

    public void Run()
    {
        CheckBlocks();
        CheckNodes();
        CheckOrphans();
    }

    private void CheckBlocks()
    {
        Geometry geometry = scan.Geometry;
        for (long first = 0; first < scan.Blocks.Bits; first += BitsPerWord)
        {
            bool isAllData = first >= geometry.FirstDataBlock && first + BitsPerWord <= geometry.EndOfData;
            bool isNoData = first + BitsPerWord <= geometry.FirstDataBlock || first >= geometry.EndOfData;
            ulong word = scan.Blocks.WordAt(first);
            if (isAllData && word == 0 && !scan.HasOwners((int)(first / PagedTable<uint>.PageEntries))) continue;
            if (isNoData && word == ulong.MaxValue) continue;
            for (long block = first; block < first + BitsPerWord; block++) CheckBlock(block);
        }

        EndLeak();
        _runStart = _runEnd = 0;
    }

    private void CheckBlock(long block)
    {
        bool isTaken = scan.Blocks[block];
        if (block < scan.Geometry.FirstDataBlock || block >= scan.Geometry.EndOfData)
        {
            if (isTaken) return;
            scan.Findings.Corruption($"block bitmap: block {block} is not for data, and free");
        }
        else
        {
            bool isUsed = scan.OwnerOf(block) != 0;
            if (isUsed == isTaken) return;
            if (isTaken)
            {
                Leak(block);
                return;
            }
        }

        // What is used and free was found where it was claimed.
        if (scan.Mender is { Everything: true }) WriteBit(scan.Geometry.BlockBitmap, block, true);
    }

    // One line for blocks that follow one another.
    private void Leak(long block)
    {
        if (block != _runEnd)
        {
            EndLeak();
            _runStart = block;
        }

        _runEnd = block + 1;
        if (scan.Mender is { FreesBlocks: true }) WriteBit(scan.Geometry.BlockBitmap, block, false);
    }

    private void EndLeak()
    {
        long count = _runEnd - _runStart;
        if (count > 0) scan.Findings.Leak($"block {_runStart}{(count > 1 ? $" to {_runEnd - 1}" : "")}: taken, and nothing refers to it", count);
    }

    private void CheckNodes()
    {
        // The number of inodes is a multiple of 64.
        for (long first = scan.Geometry.Inodes; first < scan.Nodes.Bits; first += BitsPerWord)
        {
            if (scan.Nodes.WordAt(first) == ulong.MaxValue) continue;
            for (long bit = first; bit < first + BitsPerWord; bit++) Padding(bit);
        }

        Padding(0);
        for (uint inode = PmLayout.RootInode; inode < scan.Geometry.Inodes; inode++) CheckFree(inode);
        if (scan.Mender is not { } mender) return;
        foreach (uint inode in scan.KnownInodes())
        {
            InodeFacts facts = scan.Inodes[inode];
            if (facts.Has(InodeSigns.Leaked) && mender.FreesInodes) Free(inode);
            else if (facts.Names > 0 && !facts.Has(InodeSigns.Taken) && mender.Everything) WriteBit(scan.Geometry.NodeBitmap, inode, true);
        }
    }

    // Whoever asks for an inode by number goes by its record.
    private void CheckFree(uint inode)
    {
        if (scan.Inodes.Peek(inode).Has(InodeSigns.Known) || scan.ReadInode(inode).Mode == 0) return;
        scan.Findings.Corruption($"inode {inode}: it is free in the bitmap, and nothing names it, and its record is not free: mode 0x{(ulong)scan.ReadInode(inode).Mode:x}");
        if (scan.Mender is { Everything: true, FreesInodes: true }) Free(inode);
    }

    private void Free(uint inode)
    {
        scan.Write(inode, new InodeRecord { Generation = scan.ReadInode(inode).Generation });
        WriteBit(scan.Geometry.NodeBitmap, inode, false);
    }

    private void Padding(long bit)
    {
        if (scan.Nodes[bit]) return;
        scan.Findings.Corruption($"node bitmap: inode {bit} does not exist, and is free");
        if (scan.Mender is { Everything: true }) WriteBit(scan.Geometry.NodeBitmap, bit, true);
    }

    private void CheckOrphans()
    {
        foreach (long bit in scan.Orphans.All())
        {
            bool exists = bit > 0 && bit < scan.Geometry.Inodes;
            InodeFacts facts = exists ? scan.Inodes.Peek(bit) : default;
            if (exists && facts.Has(InodeSigns.Taken) && facts.Names == 0 && bit != PmLayout.RootInode) continue;
            // One with names was reported with its inode.
            if (!exists) scan.Findings.Corruption($"orphan bitmap: inode {bit} does not exist");
            else if (facts.Names == 0) scan.Findings.Corruption($"orphan bitmap: inode {bit} is {(bit == PmLayout.RootInode ? "the root" : "free")}");
            if (scan.Mender is { Everything: true }) WriteBit(scan.Geometry.OrphanBitmap, bit, false);
        }
    }

    private void WriteBit(long bitmap, long bit, bool value)
    {
        long offset = bitmap + (bit / BitsPerWord * sizeof(ulong));
        ulong mask = 1UL << (int)(bit % BitsPerWord), word = scan.Region.ReadWord(offset);
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value ? word | mask : word & ~mask);
        scan.Region.Write(offset, bytes, ContentClass.Allocation);
    }
}
