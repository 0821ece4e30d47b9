using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using StoragePlugins.PmFileSystem.Check;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.Tests;

namespace StoragePlugins.PmFileSystem.Tests.Check;

/// <summary>Composes an image from what README.md says, without the code that writes images.</summary>
internal sealed class ImageBuilder
{
    public const uint FileMode = 0x81a4, DirectoryMode = 0x41ed, LinkMode = 0xa1ff;

    private readonly List<BuiltNode> _nodes = [];
    private long _nextBlock;
    private uint _nextInode = 2;

    public ImageBuilder(long length = 2 << 20)
    {
        // The secret is fixed, so that a failure comes again.
        Geometry = Geometry.Plan("test", length, bytesPerInode: 4096) with { Secret = (0x0706050403020100, 0x0f0e0d0c0b0a0908), Created = 1 };
        Bytes = new byte[Geometry.Length];
        _nextBlock = Geometry.FirstDataBlock;
        Root = new BuiltNode(PmLayout.RootInode, DirectoryMode);
        Root.Parent = Root;
        _nodes.Add(Root);
    }

    public Geometry Geometry { get; }

    public byte[] Bytes { get; }

    public BuiltNode Root { get; }

    public IReadOnlyList<BuiltNode> Nodes => _nodes;

    /// <summary>The floor and whether the image is in use.</summary>
    public (ulong Floor, bool IsInUse) State { get; set; } = (1000, false);

    public BuiltNode File(BuiltNode? parent, string name, long size = 0, params long[] mapped)
    {
        BuiltNode node = Add(parent, name, FileMode);
        node.Size = size;
        node.Mapped.AddRange(mapped);
        return node;
    }

    public BuiltNode Directory(BuiltNode? parent, string name, int depth = 0, int local = 0)
    {
        BuiltNode node = Add(parent, name, DirectoryMode);
        node.Depth = (depth, local);
        node.Parent = parent ?? Root;
        return node;
    }

    public BuiltNode Link(BuiltNode parent, string name, string target)
    {
        BuiltNode node = Add(parent, name, LinkMode);
        node.Target = Encoding.UTF8.GetBytes(target);
        node.Size = node.Target.Length;
        return node;
    }

    public BuiltNode Orphan(params long[] mapped)
    {
        BuiltNode node = File(null, "", 4096, mapped);
        node.IsOrphan = true;
        return node;
    }

    public void Name(BuiltNode parent, string name, BuiltNode node)
    {
        parent.Entries.Add((Encoding.UTF8.GetBytes(name), node));
        node.Names++;
    }

    /// <summary>An image with one of everything.</summary>
    public static ImageBuilder Sample()
    {
        var image = new ImageBuilder();
        BuiltNode plain = image.File(image.Root, "plain", 5000, 0, 1);
        image.Name(image.Root, "second name", plain);
        BuiltNode sparse = image.File(image.Root, "sparse", 3 << 20, 3, 15, 16, 511, 512, 700);
        sparse.Attributes.Add(("user.comment", [1, 2, 3]));
        sparse.Attributes.Add(("user.empty", []));
        image.File(image.Root, "huge", 1L << 40, 0, 1 << 20, 1 << 27);
        BuiltNode sub = image.Directory(image.Root, "sub");
        sub.Attributes.Add(("user.dir", new byte[100]));
        BuiltNode deep = image.Directory(sub, "deep", depth: 2, local: 1);
        for (int i = 0; i < 40; i++) image.File(deep, $"file {i} with a name", 1, 0);
        BuiltNode wide = image.Directory(sub, "wide", depth: 10, local: 2);
        for (int i = 0; i < 10; i++) image.File(wide, $"w{i}");
        image.Link(sub, "short link", "../plain");
        image.Link(sub, "long link", new string('x', 300));
        image.Directory(sub, "empty");
        image.Orphan(0, 20);
        image._nodes.Add(new BuiltNode(image._nextInode++, 0x11a4));
        image.Name(sub, "pipe", image._nodes[^1]);
        return image.Build();
    }

    /// <summary>Writes it all.</summary>
    public ImageBuilder Build()
    {
        Geometry.ToBytes().CopyTo(Bytes, 0);
        Geometry.ToBytes().CopyTo(Bytes, Geometry.Length - PmLayout.BlockBytes);
        Put64(PmLayout.FloorOffset, StateWords.PackFloor(State.Floor));
        Put64(PmLayout.StateOffset, StateWords.PackState(7, State.IsInUse));
        for (long block = 0; block < Layout.Geometry.BitmapBytes(Geometry.Blocks) * 8; block++)
        {
            if (block < Geometry.FirstDataBlock || block >= Geometry.EndOfData) SetBit(Geometry.BlockBitmap, block, true);
        }

        for (long inode = Geometry.Inodes; inode < Layout.Geometry.BitmapBytes(Geometry.Inodes) * 8; inode++) SetBit(Geometry.NodeBitmap, inode, true);
        SetBit(Geometry.NodeBitmap, 0, true);
        foreach (BuiltNode node in _nodes) Write(node);
        return this;
    }

    /// <summary>The image's records, changed and with the right checksum.</summary>
    public void Change(uint inode, Func<InodeRecord, InodeRecord> change, bool withChecksum = true)
    {
        InodeRecord record = change(Record(inode));
        if (withChecksum) record.Checksum = record.ComputeChecksum(inode);
        record.AsBytes().CopyTo(Bytes.AsSpan((int)Geometry.InodeOffset(inode)));
    }

    public InodeRecord Record(uint inode) => MemoryMarshal.Read<InodeRecord>(Bytes.AsSpan((int)Geometry.InodeOffset(inode)));

    public void SetBit(long bitmap, long bit, bool value)
    {
        ref byte into = ref Bytes[bitmap + (bit / 8)];
        into = (byte)(value ? into | (1 << (int)(bit % 8)) : into & ~(1 << (int)(bit % 8)));
    }

    public long NewBlock()
    {
        SetBit(Geometry.BlockBitmap, _nextBlock, true);
        return _nextBlock++;
    }

    public void Put32(long at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan((int)at), value);

    public void Put64(long at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan((int)at), value);

    /// <summary>Where an entry of a leaf lies.</summary>
    public long EntryAt(long leaf, string name) => (leaf * PmLayout.BlockBytes) + Bytes.AsSpan((int)(leaf * PmLayout.BlockBytes), PmLayout.BlockBytes).IndexOf(Encoding.UTF8.GetBytes(name)) - PmLayout.EntryHeaderBytes;

    public CheckReport Check(RepairMode mode = RepairMode.None)
    {
        using var medium = new MemoryMedium();
        medium.Write(0, Bytes, ContentClass.FileSystem);
        CheckReport report = new PmChecker(medium).Run(mode);
        if (mode != RepairMode.None) medium.Read(0, Bytes);
        return report;
    }

    private BuiltNode Add(BuiltNode? parent, string name, uint mode)
    {
        var node = new BuiltNode(_nextInode++, mode);
        _nodes.Add(node);
        if (parent is not null) Name(parent, name, node);
        return node;
    }

    private long BlockFor(BuiltNode node, string use)
    {
        long block = NewBlock();
        node.Blocks.Add((use, block));
        return block;
    }

    private void Write(BuiltNode node)
    {
        var record = new InodeRecord { Mode = node.Mode, UserId = 1000, GroupId = 100, AccessTime = 1, ModificationTime = 2, ChangeTime = 3, BirthTime = 4, Generation = 1, Size = node.Size, Links = node.Names };
        if (node.IsDirectory)
        {
            WriteDirectory(node, ref record);
            record.Size = node.Blocks.Count(block => block.Use == "leaf") * PmLayout.BlockBytes;
            record.Links = 2 + (uint)node.Entries.Count(entry => entry.Node.IsDirectory);
            record.Parent = node.Parent!.Number;
            record.Entries = (uint)node.Entries.Count;
        }

        foreach (long index in node.Mapped) Map(node, ref record, index);
        if (node.Target.Length > PmLayout.InlineTargetBytes) node.Target.CopyTo(Bytes, (long)(record.Direct[0] = (ulong)BlockFor(node, "target")) * PmLayout.BlockBytes);
        else node.Target.CopyTo(MemoryMarshal.AsBytes((Span<ulong>)record.Direct));
        if (node.Attributes.Count > 0) record.Attributes = (ulong)WriteAttributes(node);
        record.Blocks = node.Blocks.Count;
        SetBit(Geometry.NodeBitmap, node.Number, true);
        if (node.IsOrphan) SetBit(Geometry.OrphanBitmap, node.Number, true);
        Change(node.Number, _ => record);
    }

    private void Map(BuiltNode node, ref InodeRecord record, long index)
    {
        if (index < PmLayout.DirectBlocks)
        {
            record.Direct[(int)index] = (ulong)BlockFor(node, "data");
            return;
        }

        while (index >> (PmLayout.FanOutShift * record.Height) != 0)
        {
            ulong below = record.Root;
            record.Root = (ulong)BlockFor(node, $"map {record.Height + 1}");
            if (below != 0) Put64((long)record.Root * PmLayout.BlockBytes, below);
            record.Height++;
        }

        long at = (long)record.Root * PmLayout.BlockBytes;
        for (int level = record.Height - 1; level >= 0; level--)
        {
            long place = at + (((index >> (PmLayout.FanOutShift * level)) & (PmLayout.FanOut - 1)) * sizeof(ulong));
            ulong next = BinaryPrimitives.ReadUInt64LittleEndian(Bytes.AsSpan((int)place));
            if (next == 0) Put64(place, next = (ulong)BlockFor(node, level == 0 ? "data" : $"map {level}"));
            at = (long)next * PmLayout.BlockBytes;
        }
    }

    private void WriteDirectory(BuiltNode node, ref InodeRecord record)
    {
        (int depth, int local) = node.Depth;
        if (node.Entries.Count == 0 && depth == 0) return;
        long[] leaves = [.. Enumerable.Range(0, 1 << local).Select(i => WriteLeaf(node, local, i))];
        record.Height = (byte)depth;
        record.Root = (ulong)leaves[0];
        if (depth == 0) return;
        record.Root = (ulong)BlockFor(node, "index");
        long at = 0;
        for (int place = 0; place < 1 << depth; place++, at += sizeof(ulong))
        {
            if (place % PmLayout.FanOut == 0) at = (long)record.Root * PmLayout.BlockBytes;
            if (depth > 9 && place % PmLayout.FanOut == 0)
            {
                long block = BlockFor(node, "lower index");
                Put64(at + (place / PmLayout.FanOut * sizeof(ulong)), (ulong)block);
                at = block * PmLayout.BlockBytes;
            }

            Put64(at, (ulong)leaves[place >> (depth - local)]);
        }
    }

    private long WriteLeaf(BuiltNode node, int local, int number)
    {
        long block = BlockFor(node, "leaf"), start = block * PmLayout.BlockBytes, at = start + PmLayout.LeafHeaderBytes;
        Put32(start, PmLayout.LeafMagic);
        Bytes[start + 4] = (byte)local;
        Put32(start + 8, node.Number);
        foreach ((byte[] name, BuiltNode target) in node.Entries)
        {
            uint hash = KeyedHash.Upper(Geometry.Secret, name);
            if (local > 0 && hash >> (32 - local) != number) continue;
            int length = (int)PmLayout.RoundUp(PmLayout.EntryHeaderBytes + name.Length, 8);
            Put32(at, target.Number);
            Put32(at + 4, hash);
            BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan((int)at + 8), (ushort)length);
            Bytes[at + 10] = (byte)name.Length;
            Bytes[at + 11] = (byte)(target.Mode >> 12);
            name.CopyTo(Bytes, at + PmLayout.EntryHeaderBytes);
            at += length;
        }

        if (at < start + PmLayout.BlockBytes) BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan((int)at + 8), (ushort)(start + PmLayout.BlockBytes - at));
        return block;
    }

    private long WriteAttributes(BuiltNode node)
    {
        long block = BlockFor(node, "attributes"), start = block * PmLayout.BlockBytes, at = start + PmLayout.AttributesHeaderBytes;
        foreach ((string name, byte[] value) in node.Attributes)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan((int)at), (ushort)name.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan((int)at + 2), (ushort)value.Length);
            Encoding.UTF8.GetBytes(name).CopyTo(Bytes, at + 4);
            value.CopyTo(Bytes, at + 4 + name.Length);
            at = PmLayout.RoundUp(at + 4 + name.Length + value.Length, 4);
        }

        Put32(start, PmLayout.AttributesMagic);
        Put32(start + 8, node.Number);
        Put32(start + 12, (uint)(at - start));
        Put32(start + 4, Crc.Of(Bytes.AsSpan((int)start + 8, (int)(at - start) - 8), 0));
        return block;
    }
}
