using System.Diagnostics;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Tests.Check;

public class DamageFuzzTests
{
    private const int Seed = 20260101;

    /// <summary>A check of an image of 2 MiB takes milliseconds; a machine under load takes longer.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(20);

    [Fact]
    public void Every_flip_of_a_bit_that_means_something_is_found()
    {
        ImageBuilder image = ImageBuilder.Sample();
        var random = new Random(Seed);
        (long Offset, long Length)[] structures = [.. Meaningful(image)];
        for (int i = 0; i < 2000; i++)
        {
            (long offset, long length) = structures[random.Next(structures.Length)];
            long at = offset + random.NextInt64(length);
            byte mask = (byte)(1 << random.Next(8));
            image.Bytes[at] ^= mask;
            CheckReport report = Timed(image);
            Assert.True(report.Corruptions + report.Leaks > 0, $"flip {i}: mask 0x{mask:x2} of byte {at}, which is {at - offset} in a structure of {length} bytes");
            image.Bytes[at] ^= mask;
        }

        Assert.Empty(image.Check().Findings);
    }

    [Theory]
    [InlineData(RepairMode.None)]
    [InlineData(RepairMode.All)]
    public void Garbage_anywhere_is_survived(RepairMode mode)
    {
        ImageBuilder image = ImageBuilder.Sample();
        byte[] intact = [.. image.Bytes];
        var random = new Random(Seed);
        for (int i = 0; i < 300; i++)
        {
            intact.CopyTo(image.Bytes, 0);
            for (int blocks = 1 + random.Next(4); blocks > 0; blocks--) Scramble(image, random);
            Timed(image, mode);
        }
    }

    [Fact]
    public void Structures_that_are_exchanged_are_survived_and_found()
    {
        ImageBuilder image = ImageBuilder.Sample();
        var random = new Random(Seed);
        long[] blocks = [.. image.Nodes.SelectMany(node => node.Blocks).Where(block => block.Use is not "data" and not "target").Select(block => block.Block * PmLayout.BlockBytes)];
        for (int i = 0; i < 300; i++)
        {
            long from = blocks[random.Next(blocks.Length)], to = blocks[random.Next(blocks.Length)];
            byte[] before = image.Bytes.AsSpan((int)to, PmLayout.BlockBytes).ToArray(), other = image.Bytes.AsSpan((int)from, PmLayout.BlockBytes).ToArray();
            other.CopyTo(image.Bytes, to);
            CheckReport report = Timed(image);
            Assert.True(before.AsSpan().SequenceEqual(other) || report.Corruptions > 0, $"block {to / PmLayout.BlockBytes} holds what block {from / PmLayout.BlockBytes} holds");
            before.CopyTo(image.Bytes, to);
        }
    }

    private static CheckReport Timed(ImageBuilder image, RepairMode mode = RepairMode.None)
    {
        var clock = Stopwatch.StartNew();
        CheckReport report = image.Check(mode);
        Assert.True(clock.Elapsed < Longest, $"{clock.Elapsed} for one check");
        return report;
    }

    private static void Scramble(ImageBuilder image, Random random)
    {
        // Garbage in the superblock alone would end most checks at once.
        long block = random.Next(8) == 0 ? 0 : random.NextInt64(image.Geometry.Journal / PmLayout.BlockBytes, random.Next(2) == 0 ? image.Geometry.FirstDataBlock : image.Geometry.Blocks);
        Span<byte> bytes = image.Bytes.AsSpan((int)(block * PmLayout.BlockBytes), PmLayout.BlockBytes);
        switch (random.Next(4))
        {
            case 0:
                random.NextBytes(bytes);
                break;
            case 1:
                bytes.Fill(0xff);
                break;
            case 2:
                bytes.Clear();
                break;
            default:
                // Pointers to blocks that exist: loops and blocks that serve twice.
                for (int i = 0; i < 64; i++) BitConverter.TryWriteBytes(bytes[(8 * random.Next(512))..], random.NextInt64(image.Geometry.Blocks));
                break;
        }
    }

    // What a check can judge: superblocks, the two words, bitmaps, the records of inodes in use, entries, indexes, maps, attributes.
    private static IEnumerable<(long Offset, long Length)> Meaningful(ImageBuilder image)
    {
        Geometry geometry = image.Geometry;
        yield return (0, PmLayout.SuperblockBytes);
        yield return (geometry.Length - PmLayout.BlockBytes, PmLayout.SuperblockBytes);
        yield return (PmLayout.FloorOffset, sizeof(ulong));
        yield return (PmLayout.StateOffset, sizeof(ulong));
        yield return (geometry.BlockBitmap, geometry.NodeBitmap - geometry.BlockBitmap);
        yield return (geometry.NodeBitmap, geometry.OrphanBitmap - geometry.NodeBitmap);
        yield return (geometry.OrphanBitmap, geometry.InodeTable - geometry.OrphanBitmap);
        foreach (BuiltNode node in image.Nodes)
        {
            yield return (geometry.InodeOffset(node.Number), PmLayout.InodeBytes);
            foreach ((byte[] name, _) in node.Entries) yield return (image.Entry(NameOf(image, node), System.Text.Encoding.UTF8.GetString(name)), PmLayout.EntryHeaderBytes + name.Length);
            foreach ((string use, long block) in node.Blocks)
            {
                long start = block * PmLayout.BlockBytes;
                if (use == "leaf") yield return (start, PmLayout.LeafHeaderBytes);
                if (use == "index") yield return (start, node.Depth.Depth > 9 ? 16 : 8 << node.Depth.Depth);
                if (use == "lower index" || use.StartsWith("map", StringComparison.Ordinal)) yield return (start, PmLayout.BlockBytes);
                if (use == "attributes") yield return (start, BitConverter.ToInt32(image.Bytes, (int)start + 12));
            }
        }
    }

    private static string NameOf(ImageBuilder image, BuiltNode node) =>
        node == image.Root ? "" : System.Text.Encoding.UTF8.GetString(image.Nodes.SelectMany(parent => parent.Entries).First(entry => entry.Node == node).Name);
}
