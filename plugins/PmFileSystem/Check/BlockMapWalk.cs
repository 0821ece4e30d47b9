using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>Follows the block map of a file.</summary>
internal sealed class BlockMapWalk(CheckScan scan)
{
    private readonly byte[][] _nodes = [.. Enumerable.Range(0, PmLayout.MostHeight).Select(_ => new byte[PmLayout.BlockBytes])];
    private long _blocks;
    private bool _isSound;

    /// <summary>Claims what the map refers to.</summary>
    /// <param name="inode">Its number.</param>
    /// <param name="record">The file.</param>
    /// <param name="blocks">Blocks of data and map.</param>
    /// <returns>Whether all of it makes sense.</returns>
    public bool Run(uint inode, InodeRecord record, out long blocks)
    {
        (_blocks, _isSound) = (0, true);
        foreach (ulong block in record.Direct) Data(block, inode);
        if (record.Height > PmLayout.MostHeight)
        {
            scan.Findings.Corruption($"inode {inode}: block map of height {record.Height}; 0 to {PmLayout.MostHeight} expected");
            _isSound = !(scan.HasBrokenPointers = true);
        }
        else if (record.Height == 0 && record.Root != 0)
        {
            scan.Findings.Corruption($"inode {inode}: block map of height 0 with the root {record.Root}");
            _isSound = !(scan.HasBrokenPointers = true);
        }
        else if (record.Root != 0)
        {
            Node(record.Root, record.Height, holdsFirst: true, inode);
        }

        blocks = _blocks;
        return _isSound;
    }

    private void Data(ulong block, uint inode)
    {
        if (block == 0) return;
        _blocks++;
        if (scan.Claim(block, inode, "data", ref _isSound)) scan.DataBlocks++;
    }

    private void Node(ulong block, int height, bool holdsFirst, uint inode)
    {
        _blocks++;
        if (!scan.Claim(block, inode, "block map", ref _isSound)) return;
        byte[] node = _nodes[height - 1];
        scan.Region.ReadBlock(block, node);
        for (int i = 0; i < PmLayout.FanOut; i++)
        {
            ulong child = BinaryPrimitives.ReadUInt64LittleEndian(node.AsSpan(i * sizeof(ulong)));
            if (child == 0) continue;
            if (height > 1) Node(child, height - 1, holdsFirst && i == 0, inode);
            else if (holdsFirst && i < PmLayout.DirectBlocks) Misplaced(block, i, child, inode);
            else Data(child, inode);
        }
    }

    private void Misplaced(ulong node, int index, ulong child, uint inode)
    {
        scan.Findings.Corruption($"inode {inode}: block map node {node}: place {index} holds {child}; 0 expected, the inode names this block itself");
        _isSound = !(scan.HasBrokenPointers = true);
    }
}
