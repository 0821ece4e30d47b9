using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Check;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Tests.Check;

/// <summary>One thing that is wrong with an image, and what the check has to say of it.</summary>
/// <param name="Finding">A part of the line.</param>
/// <param name="Break">Does it to <see cref="ImageBuilder.Sample"/>.</param>
/// <param name="IsMendable">Whether <c>--repair all</c> leaves a clean image.</param>
internal sealed record Breakage(string Finding, Action<ImageBuilder> Break, bool IsMendable = false)
{
    private const int Data = 0, Second = 1;

    /// <summary>Everything that README.md says is always true, broken once.</summary>
    public static IReadOnlyDictionary<string, Breakage> All { get; } = new Dictionary<string, Breakage>
    {
        ["superblock"] = new("superblock: memory: the superblock is damaged", i => i.Bytes[70] ^= 1, true),
        ["superblock's magic"] = new("superblock: memory: this is no pmfs image", i => i.Bytes[0] ^= 1, true),
        ["superblock's version"] = new("superblock: memory: the image has a version", i => i.Bytes[8] ^= 2, true),
        ["copy of the superblock"] = new("copy of the superblock", i => i.Bytes[^4000] ^= 1, true),
        ["two superblocks"] = new("says something else", i => (i.Geometry with { Created = 99 }).ToBytes().CopyTo(i.Bytes, i.Geometry.Length - PmLayout.BlockBytes), true),
        ["floor"] = new("floor's checksum", i => i.Bytes[PmLayout.FloorOffset] ^= 1, true),
        ["state"] = new("state's checksum", i => i.Bytes[PmLayout.StateOffset + 2] ^= 1),
        ["free inode with a record"] = new("its record is not free", i => i.Change(i.Geometry.Inodes - 1, _ => new InodeRecord { Mode = ImageBuilder.FileMode }), true),

        ["block leaked"] = new("taken, and nothing refers to it", i => i.NewBlock(), true),
        ["block free and used"] = new("is free in the bitmap", i => i.SetBit(i.Geometry.BlockBitmap, i.Node("plain").BlockOf("data"), false), true),
        ["block twice in a file"] = new("is referred to by inode", i => i.Edit("plain", (ref InodeRecord r) => r.Direct[Second] = r.Direct[Data])),
        ["block of two files"] = new("is referred to by inode", i => i.Edit("sparse", (ref InodeRecord r) => r.Direct[3] = (ulong)i.Node("plain").BlockOf("data"))),
        ["block out of range"] = new("is none for data", i => i.Edit("plain", (ref InodeRecord r) => r.Direct[Data] = 1)),
        ["block beyond the end"] = new("is none for data", i => i.Edit("plain", (ref InodeRecord r) => r.Direct[Data] = ulong.MaxValue)),
        ["superblock's copy as data"] = new("is none for data", i => i.Edit("plain", (ref InodeRecord r) => r.Direct[Data] = (ulong)i.Geometry.EndOfData)),
        ["block that is not for data free"] = new("is not for data, and free", i => i.SetBit(i.Geometry.BlockBitmap, 3, false), true),
        ["padding of the block bitmap free"] = new("is not for data, and free", i => i.SetBit(i.Geometry.BlockBitmap, i.Geometry.Blocks + 5, false), true),

        ["inode leaked"] = new("nothing names it", i => i.SetBit(i.Geometry.OrphanBitmap, i.Nodes.First(n => n.IsOrphan).Number, false), true),
        ["inode free and named"] = new("which is free in the bitmap", i => i.SetBit(i.Geometry.NodeBitmap, i.Node("sparse").Number, false), true),
        ["inode 0 free"] = new("node bitmap: inode 0", i => i.SetBit(i.Geometry.NodeBitmap, 0, false), true),
        ["padding of the node bitmap free"] = new("does not exist, and is free", i => i.SetBit(i.Geometry.NodeBitmap, i.Geometry.Inodes + 1, false), true),
        ["orphan with names"] = new("and the orphan bitmap has it", i => i.SetBit(i.Geometry.OrphanBitmap, i.Node("plain").Number, true), true),
        ["orphan that is free"] = new("is free", i => i.SetBit(i.Geometry.OrphanBitmap, i.Geometry.Inodes - 1, true), true),
        ["orphan that does not exist"] = new("orphan bitmap: inode", i => i.SetBit(i.Geometry.OrphanBitmap, i.Geometry.Inodes + 3, true), true),
        ["root as orphan"] = new("is the root", i => i.SetBit(i.Geometry.OrphanBitmap, 1, true), true),
        ["taken inode with a free record"] = new("its record is free", i => i.Edit("plain", (ref InodeRecord r) => r.Mode = 0)),
        ["kind that does not exist"] = new("no such kind", i => i.Edit("plain", (ref InodeRecord r) => r.Mode = 0x31a4)),

        ["inode's checksum"] = new("checksum 0x", i => i.Edit("plain", (ref InodeRecord r) => r.UserId = 7, withChecksum: false), true),
        ["directory's checksum"] = new("checksum 0x", i => i.Edit("sub", (ref InodeRecord r) => r.GroupId = 7, withChecksum: false), true),
        ["names of a file"] = new("names: 2 expected, 3 found", i => i.Edit("plain", (ref InodeRecord r) => r.Links = 3), true),
        ["names of a directory"] = new("names: 5 expected, 6 found", i => i.Edit("sub", (ref InodeRecord r) => r.Links = 6), true),
        ["names of an orphan"] = new("names: 0 expected, 1 found", i => i.Change(i.Nodes.First(n => n.IsOrphan).Number, r => r with { Links = 1 }), true),
        ["blocks of a file"] = new("blocks: 2 expected, 9 found", i => i.Edit("plain", (ref InodeRecord r) => r.Blocks = 9), true),
        ["blocks of a directory"] = new("blocks: ", i => i.Edit("deep", (ref InodeRecord r) => r.Blocks++), true),
        ["entries of a directory"] = new("entries: 40 expected", i => i.Edit("deep", (ref InodeRecord r) => r.Entries++), true),
        ["size of a directory"] = new("size: 4096 expected", i => i.Edit("sub", (ref InodeRecord r) => r.Size = 0), true),
        ["size of a file"] = new("a size of", i => i.Edit("plain", (ref InodeRecord r) => r.Size = -1)),
        ["names of a removed directory"] = new("names: 0 expected, 2 found", i => i.Change(i.RemovedDirectory(), r => r with { Links = 2 }), true),
        ["parent of a directory"] = new("directory that holds it: 1 expected", i => i.Edit("sub", (ref InodeRecord r) => r.Parent = 5), true),
        ["parent of the root"] = new("inode 1: directory that holds it", i => i.Change(1, r => r with { Parent = 2 }), true),
        ["root that is a file"] = new("it is the root, and no directory", i => i.Change(1, r => r with { Mode = ImageBuilder.FileMode })),

        ["map too high"] = new("height 5", i => i.Edit("plain", (ref InodeRecord r) => r.Height = 5)),
        ["map of height 0 with a root"] = new("height 0 with the root", i => i.Edit("sparse", (ref InodeRecord r) => r.Height = 0)),
        ["map with what the inode names"] = new("0 expected, the inode names", i => i.Put64((i.Node("sparse").BlockOf("map 1") * 4096) + 8, 77)),
        ["map pointer out of range"] = new("is none for data", i => i.Put64((i.Node("sparse").BlockOf("map 2") * 4096) + 1000, 1UL << 40)),
        ["map that refers to itself"] = new("is referred to by inode", i => i.Put64((i.Node("huge").BlockOf("map 3") * 4096) + 1000, (ulong)i.Node("huge").BlockOf("map 3"))),
        ["map of a directory's kind"] = new("and it is no file", i => i.Edit("pipe", (ref InodeRecord r) => r.Root = 700)),

        ["leaf's magic"] = new("is no leaf of it", i => i.Bytes[i.Leaf("sub")] ^= 1),
        ["leaf of another directory"] = new("is no leaf of it", i => i.Put32(i.Leaf("sub") + 8, 1)),
        ["leaf's reserved bytes"] = new("reserved bytes", i => i.Bytes[i.Leaf("sub") + 6] = 1),
        ["local depth above the depth"] = new("local depth 1", i => i.Bytes[i.Leaf("sub") + 4] = 1),
        ["local depth too small"] = new("local depth 0", i => i.Bytes[i.Leaf("deep") + 4] = 0),
        ["leaf in too many places"] = new("stands in", i => i.Put64(i.Index("deep") + 16, (ulong)i.Node("deep").BlockOf("leaf"))),
        ["place of the index empty"] = new("of the index is empty", i => i.Put64(i.Index("deep"), 0)),
        ["index out of range"] = new("is none for data", i => i.Put64(i.Index("wide"), 3)),
        ["directory too deep"] = new("depth 19", i => i.Edit("deep", (ref InodeRecord r) => r.Height = 19)),
        ["directory less deep than it is"] = new("stands in", i => i.Edit("deep", (ref InodeRecord r) => r.Height = 1)),
        ["entry's length"] = new("has the length 3", i => i.Bytes[i.Entry("sub", "empty") + 8] = 3),
        ["entries beyond the leaf"] = new("has the length", i => i.Bytes[i.Entry("sub", "pipe") + 9] = 0x40),
        ["entry's name too long for it"] = new("and a name of 200 bytes", i => i.Bytes[i.Entry("sub", "empty") + 10] = 200),
        ["entry's hash"] = new("hash 0x", i => i.Bytes[i.Entry("sub", "empty") + 4] ^= 1),
        ["entry's type"] = new("is said to be of kind", i => i.Bytes[i.Entry("sub", "pipe") + 11] = 8),
        ["entry of a free inode"] = new("which is free in the bitmap", i => i.Put32(i.Entry("deep", "file 7 with a name"), i.Geometry.Inodes - 2)),
        ["entry out of range"] = new("at most", i => i.Put32(i.Entry("deep", "file 7 with a name"), i.Geometry.Inodes)),
        ["name with a slash"] = new("is no name", i => i.Rename("sub", "empty", "em/ty")),
        ["name with a zero"] = new("is no name", i => i.Rename("sub", "empty", "em\0ty")),
        ["dot dot"] = new("is no name", i => i.Rename("sub", "pipe", "..")),
        ["name in the wrong leaf"] = new("which stands at", i => i.MoveToOtherLeaf("deep")),
        ["name twice"] = new("is there twice", i => i.Rename("deep", "file 11 with a name", "file 12 with a name", anyLeaf: true)),

        ["directory with two names"] = new("is a second name of directory", i => i.Redirect("sub", "empty", i.Node("deep"))),
        ["directory in itself"] = new("is a second name of directory", i => i.Redirect("sub", "empty", i.Node("sub"))),
        ["root in a directory"] = new("is a second name of directory 1", i => i.Redirect("sub", "empty", i.Root)),
        ["loop that nothing leads to"] = new("no path leads to it", Loop),
        ["orphan that is a full directory"] = new("a directory that was removed has", i => i.MakeOrphan("sub", "deep")),

        ["attributes' magic"] = new("holds no attributes of it", i => i.Bytes[i.Attributes("sparse")] ^= 1),
        ["attributes of another inode"] = new("holds no attributes of it", i => i.Bytes[i.Attributes("sparse") + 8] ^= 1),
        ["attributes' checksum"] = new("the checksum is wrong", i => i.Bytes[i.Attributes("sparse") + 20] ^= 1),
        ["attributes' length"] = new("bytes used", i => i.Put32(i.Attributes("sparse") + 12, 5000)),
        ["attribute that does not fit"] = new("does not fit", i => i.EditAttributes("sparse", (block, at) => block[at + 2] = 200)),
        ["attribute twice"] = new("is there twice", i => i.EditAttributes("sparse", (block, at) => "user.comment"u8.CopyTo(block.AsSpan(at + 24)), "user.emptyemp")),

        ["link without a target"] = new("a size of 0", i => i.Edit("short link", (ref InodeRecord r) => r.Size = 0)),
        ["link's target too long"] = new("a size of 4096", i => i.Edit("long link", (ref InodeRecord r) => r.Size = 4096)),
        ["link's target with a zero"] = new("with a 0 in its target", i => i.Edit("short link", (ref InodeRecord r) => r.Size = 100)),
        ["link's block missing"] = new("is none for data", i => i.Edit("long link", (ref InodeRecord r) => r.Direct[0] = 0)),
    };

    // "sub" moves below "deep", which is in "sub".
    private static void Loop(ImageBuilder image)
    {
        image.Redirect("deep", "file 7 with a name", image.Node("sub"));
        image.Bytes[image.Entry("deep", "file 7 with a name") + 11] = (byte)NodeKind.Directory;
        long entry = image.Entry("", "sub");
        BinaryPrimitives.WriteUInt32LittleEndian(image.Bytes.AsSpan((int)entry), 0);
    }
}

/// <summary>Ways to reach into a built image.</summary>
internal static class BuiltImage
{
    public delegate void InodeEdit(ref InodeRecord record);

    public static BuiltNode Node(this ImageBuilder image, string name) =>
        name.Length == 0 ? image.Root : image.Nodes.SelectMany(node => node.Entries).First(entry => System.Text.Encoding.UTF8.GetString(entry.Name) == name).Node;

    public static void Edit(this ImageBuilder image, string name, InodeEdit edit, bool withChecksum = true) => image.Change(image.Node(name).Number, record =>
    {
        edit(ref record);
        return record;
    }, withChecksum);

    public static long Leaf(this ImageBuilder image, string directory) => image.Node(directory).BlockOf("leaf") * PmLayout.BlockBytes;

    public static long Index(this ImageBuilder image, string directory) => image.Node(directory).BlockOf("index") * PmLayout.BlockBytes;

    public static long Attributes(this ImageBuilder image, string name) => image.Node(name).BlockOf("attributes") * PmLayout.BlockBytes;

    /// <summary>Where an entry lies.</summary>
    public static long Entry(this ImageBuilder image, string directory, string name)
    {
        foreach ((_, long leaf) in image.Node(directory).Blocks.Where(block => block.Use == "leaf"))
        {
            long entry = image.EntryAt(leaf, name);
            if (entry >= leaf * PmLayout.BlockBytes) return entry;
        }

        throw new ArgumentException($"no entry '{name}'");
    }

    /// <summary>Writes another name over an entry's, with its hash.</summary>
    public static void Rename(this ImageBuilder image, string directory, string name, string newName, bool anyLeaf = false)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(newName);
        long entry = image.Entry(directory, name);
        if (anyLeaf)
        {
            // An entry of the leaf in which the other one is.
            long leaf = image.Entry(directory, newName) / PmLayout.BlockBytes * PmLayout.BlockBytes;
            entry = image.Node(directory).Entries.Where(e => e.Name.Length == bytes.Length && !e.Name.SequenceEqual(bytes))
                .Select(e => image.Entry(directory, System.Text.Encoding.UTF8.GetString(e.Name))).First(at => at / PmLayout.BlockBytes * PmLayout.BlockBytes == leaf);
        }

        image.Put32(entry + 4, KeyedHash.Upper(image.Geometry.Secret, bytes));
        image.Bytes[entry + 10] = (byte)bytes.Length;
        bytes.CopyTo(image.Bytes, entry + PmLayout.EntryHeaderBytes);
    }

    public static void Redirect(this ImageBuilder image, string directory, string name, BuiltNode target) => image.Put32(image.Entry(directory, name), target.Number);

    /// <summary>Gives an entry of the first leaf the name, and the hash, of one of the second.</summary>
    public static void MoveToOtherLeaf(this ImageBuilder image, string directory)
    {
        BuiltNode node = image.Node(directory);
        long second = node.Blocks.Last(block => block.Use == "leaf").Block;
        byte[] moved = node.Entries.Select(e => e.Name).First(n => n.Length == 19 && image.EntryAt(second, System.Text.Encoding.UTF8.GetString(n)) >= second * PmLayout.BlockBytes);
        byte[] place = node.Entries.Select(e => e.Name).First(n => n.Length == 19 && image.EntryAt(node.BlockOf("leaf"), System.Text.Encoding.UTF8.GetString(n)) >= image.Leaf(directory));
        image.Rename(directory, System.Text.Encoding.UTF8.GetString(place), System.Text.Encoding.UTF8.GetString(moved));
    }

    public static void MakeOrphan(this ImageBuilder image, string directory, string name)
    {
        image.Put32(image.Entry(directory, name), 0);
        image.SetBit(image.Geometry.OrphanBitmap, image.Node(name).Number, true);
    }

    public static uint RemovedDirectory(this ImageBuilder image)
    {
        uint number = image.Geometry.Inodes - 1;
        image.SetBit(image.Geometry.NodeBitmap, number, true);
        image.SetBit(image.Geometry.OrphanBitmap, number, true);
        image.Change(number, _ => new InodeRecord { Mode = ImageBuilder.DirectoryMode, Parent = 1 });
        return number;
    }

    /// <summary>Changes an entry of a block of attributes, with the checksum.</summary>
    public static void EditAttributes(this ImageBuilder image, string name, Action<byte[], int> edit, string? replaced = null)
    {
        int start = (int)image.Attributes(name);
        byte[] block = image.Bytes.AsSpan(start, PmLayout.BlockBytes).ToArray();
        if (replaced is not null)
        {
            // The second entry grows by the length of the first one's name.
            block[16 + 20] = 12;
            BinaryPrimitives.WriteUInt32LittleEndian(block.AsSpan(12), 16 + 20 + 16);
        }

        edit(block, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(block.AsSpan(4), Crc.Of(block.AsSpan(8, BinaryPrimitives.ReadInt32LittleEndian(block.AsSpan(12)) - 8), 0));
        block.CopyTo(image.Bytes, start);
    }
}
