namespace StoragePlugins.PmFileSystem.Tests;

public class FileTests
{
    [Fact]
    public void What_is_written_reads_back_after_reopening()
    {
        using var region = new Region();
        byte[] data = Random(300_000, 1);
        using (PmFile file = region.System.CreateFile("a"))
        {
            for (int at = 0; at < data.Length; at += 7001) file.Write(at, data.AsSpan(at, Math.Min(7001, data.Length - at)));
            Assert.Equal(data, ReadAll(file));
        }

        region.Reopen();
        using PmFile again = region.System.OpenFile("a");
        Assert.Equal(data, ReadAll(again));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_operations_on_a_sparse_file_agree_with_an_array(int seed)
    {
        var random = new Random(seed);
        using var region = new Region(32L << 20);
        using PmFile file = region.System.CreateFile("f");
        using PmFile other = region.System.CreateFile("disturbs");
        region.Tree.Lookup(1, "f"u8, out NodeAttributes node);
        byte[] model = new byte[6 << 20];
        long size = 0;
        for (int i = 0; i < 1500; i++)
        {
            long at = random.Next(5) == 0 ? size : random.Next(5 << 20);
            int length = random.Next(4) == 0 ? random.Next(1, 200_000) : random.Next(1, 9000);
            switch (random.Next(12))
            {
                case 0:
                    long cut = random.Next(5 << 20);
                    file.SetLength(cut);
                    if (cut < size) model.AsSpan((int)cut, (int)(size - cut)).Clear();
                    size = cut;
                    break;
                case 1:
                    Assert.Equal(FileError.None, region.Tree.Allocate(node.Node, AllocationMode.PunchHole, at, length));
                    Zero(model, at, Math.Min(length, size - at));
                    break;
                case 2:
                    Assert.Equal(FileError.None, region.Tree.Allocate(node.Node, AllocationMode.ZeroRange, at, length));
                    Zero(model, at, Math.Min(length, size - at));
                    break;
                case 3:
                    Assert.Equal(FileError.None, region.Tree.Allocate(node.Node, AllocationMode.KeepSize, at, length));
                    break;
                case 4:
                    region.Tree.Closed(node.Node);
                    other.Append(Random(5000, i));
                    break;
                case 5 when at + length < 5 << 20:
                    Assert.Equal(FileError.None, region.Tree.Allocate(node.Node, AllocationMode.Grow, at, length));
                    size = Math.Max(size, at + length);
                    break;
                default:
                    byte[] data = Random(length, i);
                    if (at + length > model.Length) break;
                    file.Write(at, data);
                    data.CopyTo(model, at);
                    size = Math.Max(size, at + length);
                    break;
            }

            Assert.Equal(size, file.Length);
            if (i % 50 == 0) Assert.True(model.AsSpan(0, (int)size).SequenceEqual(ReadAll(file)), $"after operation {i}");
        }

        Assert.True(model.AsSpan(0, (int)size).SequenceEqual(ReadAll(file)));
        region.Tree.Forget(node.Node, 1);
    }

    [Fact]
    public void A_full_region_says_so_and_keeps_what_it_has()
    {
        using var region = new Region(4L << 20);
        byte[] piece = Random(64 << 10, 3);
        using PmFile file = region.System.CreateFile("big");
        void FillUp()
        {
            for (long at = 0; at < 1 << 30; at += piece.Length) file.Write(at, piece);
        }

        var full = Assert.Throws<StorageException>(FillUp);
        Assert.Equal(StorageError.NoSpace, full.Error);
        long size = file.Length;
        Assert.Equal(0, size % piece.Length);
        for (long at = 0; at < size; at += piece.Length)
        {
            byte[] read = new byte[piece.Length];
            file.Read(at, read);
            Assert.Equal(piece, read);
        }

        long blocks = region.Tree.Statistics.FreeBlocks;
        region.Reopen();
        region.System.Delete("big");
        Assert.True(region.Tree.Statistics.FreeBlocks >= blocks + (size >> 12));
        using PmFile next = region.System.CreateFile("next");
        next.Write(0, piece);
    }

    [Fact]
    public void A_large_file_goes_through_three_levels_of_its_map_and_back()
    {
        using var region = new Region(64L << 20);
        using (PmFile file = region.System.CreateFile("sparse"))
        {
            byte[] data = Random(10_000, 9);
            foreach (long at in (long[])[0, 100_000, 3L << 20, 5L << 30, 3L << 40, (3L << 40) + (1L << 21)])
            {
                file.Write(at, data);
                byte[] read = new byte[data.Length];
                file.Read(at, read);
                Assert.Equal(data, read);
            }

            Assert.Equal((3L << 40) + (1L << 21) + 10_000, file.Length);
            file.SetLength(4L << 30);
            Assert.Equal(4L << 30, file.Length);
            file.SetLength(0);
        }

        Assert.Equal(0, region.System.GetAttributes("sparse").AllocatedBytes);
    }

    [Fact]
    public void Space_mapped_ahead_of_appends_is_given_back_at_the_last_close()
    {
        using var region = new Region();
        using (PmFile file = region.System.CreateFile("log"))
        {
            for (int i = 0; i < 100; i++) file.Append(Random(4096, i));
            Assert.True(region.System.GetAttributes("log").AllocatedBytes > 100 * 4096);
        }

        Assert.InRange(region.System.GetAttributes("log").AllocatedBytes, 100 * 4096, 102 * 4096);
    }

    [Fact]
    public void An_unlinked_file_lives_until_it_is_closed()
    {
        using var region = new Region();
        PmFile file = region.System.CreateFile("a");
        file.Write(0, Random(100_000, 1));
        long free = region.Tree.Statistics.FreeBlocks, nodes = region.Tree.Statistics.FreeNodes;
        region.System.Delete("a");
        Assert.False(region.System.Exists("a"));
        file.Write(100_000, Random(1000, 2));
        Assert.Equal(101_000, file.Length);
        file.Dispose();
        Assert.Equal(nodes + 1, region.Tree.Statistics.FreeNodes);
        region.Reopen();
        Assert.True(region.Tree.Statistics.FreeBlocks >= free + 25);
    }

    // The kit found a state in which the time of a hole was there and the hole was not.
    [Theory]
    [InlineData(0, 4)]
    [InlineData(14, 18)]
    [InlineData(16, 500)]
    public void A_hole_within_one_leaf_and_its_time_come_in_one_record(int first, int end)
    {
        using var region = new Region();
        using PmFile file = region.System.CreateFile("a");
        file.Write(0, Random(600 * 4096, 1));
        region.Tree.Lookup(1, "a"u8, out NodeAttributes node);
        Thread.Sleep(20);
        long records = region.System.JournalTotals.Records;
        Assert.Equal(FileError.None, region.Tree.Allocate(node.Node, AllocationMode.PunchHole, first * 4096, (end - first) * 4096));
        Assert.Equal(records + 1, region.System.JournalTotals.Records);
        region.Tree.Forget(node.Node, 1);
        NodeAttributes after = region.System.GetAttributes("a");
        Assert.True(after.ModificationTime > node.ModificationTime);
        Assert.Equal(node.AllocatedBytes - ((end - first) * 4096), after.AllocatedBytes);
    }

    [Fact]
    public void A_stream_reads_what_a_stream_wrote()
    {
        using var region = new Region();
        using PmFile file = region.System.CreateFile("text");
        using (var writer = new StreamWriter(file.AsStream()))
            for (int i = 0; i < 10_000; i++) writer.WriteLine($"line {i}");
        using var reader = new StreamReader(file.AsStream());
        for (int i = 0; i < 10_000; i++) Assert.Equal($"line {i}", reader.ReadLine());
        Assert.Null(reader.ReadLine());
    }

    internal static byte[] Random(int length, int seed)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }

    internal static byte[] ReadAll(PmFile file)
    {
        byte[] data = new byte[file.Length];
        Assert.Equal(data.Length, file.Read(0, data));
        return data;
    }

    private static void Zero(byte[] model, long at, long length)
    {
        if (length > 0) model.AsSpan((int)at, (int)length).Clear();
    }
}
