using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>The block of extended attributes of an inode.</summary>
internal sealed class AttributeCheck(CheckScan scan)
{
    private const int EntryHeaderBytes = 4, MostNameBytes = 255;

    private readonly byte[] _block = new byte[PmLayout.BlockBytes];
    private readonly HashSet<string> _names = [];

    /// <summary>Claims the block and judges what is in it.</summary>
    /// <returns>Whether the reference to it makes sense.</returns>
    public bool Run(uint inode, ulong block)
    {
        bool isSound = true;
        if (!scan.Claim(block, inode, "attributes", ref isSound)) return false;
        scan.Region.ReadBlock(block, _block);
        uint magic = Word(0), checksum = Word(4), owner = Word(8), used = Word(12);
        if (magic != PmLayout.AttributesMagic || owner != inode)
        {
            scan.Findings.Corruption($"inode {inode}: block {block} holds no attributes of it: magic 0x{magic:x8}, inode {owner}");
            return false;
        }

        if (used is < PmLayout.AttributesHeaderBytes or > PmLayout.BlockBytes)
            scan.Findings.Corruption($"inode {inode}: attributes, block {block}: {used} bytes used; {PmLayout.AttributesHeaderBytes} to {PmLayout.BlockBytes} expected");
        else if (Crc.Of(_block.AsSpan(8, (int)used - 8), 0) != checksum)
            scan.Findings.Corruption($"inode {inode}: attributes, block {block}: the checksum is wrong");
        else
            Entries(inode, block, _block.AsSpan(PmLayout.AttributesHeaderBytes..(int)used));
        return isSound;
    }

    private uint Word(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_block.AsSpan(at));

    private void Entries(uint inode, ulong block, ReadOnlySpan<byte> rest)
    {
        _names.Clear();
        while (rest.Length > 0)
        {
            int name = rest.Length < EntryHeaderBytes ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(rest), value = rest.Length < EntryHeaderBytes ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]);
            long length = PmLayout.RoundUp(EntryHeaderBytes + name + value, 4);
            if (name is 0 or > MostNameBytes || length > rest.Length)
            {
                scan.Findings.Corruption($"inode {inode}: attributes, block {block}: an entry with a name of {name} and a value of {value} bytes does not fit the {rest.Length} that are left");
                return;
            }

            ReadOnlySpan<byte> bytes = rest.Slice(EntryHeaderBytes, name);
            if (bytes.Contains((byte)0)) scan.Findings.Corruption($"inode {inode}: attributes, block {block}: the name '{bytes}' has a 0 in it");
            if (!_names.Add(Convert.ToHexString(bytes))) scan.Findings.Corruption($"inode {inode}: attributes, block {block}: '{bytes}' is there twice");
            rest = rest[(int)length..];
        }
    }
}
