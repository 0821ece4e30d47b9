using StoragePlugins.PmFileSystem.Check;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.Tests;

namespace StoragePlugins.PmFileSystem.Tests.Check;

public class PmCheckerTests
{
    public static TheoryData<string> Breakages => [.. Breakage.All.Keys];

    public static TheoryData<string> Mendable => [.. Breakage.All.Where(pair => pair.Value.IsMendable).Select(pair => pair.Key)];

    [Fact]
    public void An_empty_image_is_clean()
    {
        CheckReport report = new ImageBuilder(1 << 20).Build().Check();
        Assert.Equal((0, 0, 0), (report.Corruptions, report.Leaks, report.AllocatedBytes));
        Assert.Empty(report.Findings);
    }

    [Fact]
    public void An_image_with_one_of_everything_is_clean()
    {
        ImageBuilder image = ImageBuilder.Sample();
        CheckReport report = image.Check();
        Assert.Empty(report.Findings);
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
        long data = image.Nodes.Sum(node => node.Blocks.Count(block => block.Use == "data"));
        Assert.Equal((data * 4096, image.Geometry.Length), (report.AllocatedBytes, report.ImageEnd));
    }

    [Theory]
    [MemberData(nameof(Breakages))]
    public void What_is_broken_is_found(string what)
    {
        ImageBuilder image = ImageBuilder.Sample();
        Breakage.All[what].Break(image);
        CheckReport report = image.Check();
        Assert.Contains(report.Findings, line => line.Contains(Breakage.All[what].Finding, StringComparison.Ordinal));
        Assert.True(what.EndsWith("leaked", StringComparison.Ordinal) ? report is { Corruptions: 0, Leaks: > 0 } : report.Corruptions > 0);
    }

    [Theory]
    [MemberData(nameof(Mendable))]
    public void What_follows_from_references_is_mended(string what)
    {
        ImageBuilder image = ImageBuilder.Sample();
        Breakage.All[what].Break(image);
        CheckReport found = image.Check();
        CheckReport mended = image.Check(RepairMode.All);
        Assert.Equal((0, 0), (mended.Corruptions, mended.Leaks));
        Assert.Equal((found.Corruptions, found.Leaks), (mended.CorruptionsFixed, mended.LeaksFixed));
        Assert.Empty(image.Check().Findings);
    }

    [Theory]
    [MemberData(nameof(Breakages))]
    public void A_repair_never_makes_it_worse(string what)
    {
        foreach (RepairMode mode in new[] { RepairMode.Leaks, RepairMode.All })
        {
            ImageBuilder image = ImageBuilder.Sample();
            Breakage.All[what].Break(image);
            CheckReport found = image.Check();
            CheckReport mended = image.Check(mode);
            Assert.True(mended.Corruptions <= found.Corruptions && mended.Leaks <= found.Leaks, string.Join('\n', mended.Findings));
            CheckReport after = image.Check();
            Assert.Equal((mended.Corruptions, mended.Leaks), (after.Corruptions, after.Leaks));
        }
    }

    [Fact]
    public void Leaks_alone_are_freed_where_only_leaks_may_be_mended()
    {
        ImageBuilder image = ImageBuilder.Sample();
        long block = image.NewBlock();
        uint orphan = image.Nodes.First(node => node.IsOrphan).Number;
        image.SetBit(image.Geometry.OrphanBitmap, orphan, false);
        CheckReport report = image.Check(RepairMode.Leaks);
        Assert.Equal((0, 0, 0), (report.Corruptions, report.Leaks, report.CorruptionsFixed));
        // The block, the inode, and its two blocks of data with the map's.
        Assert.Equal(5, report.LeaksFixed);
        Assert.Equal(0, image.Bytes[image.Geometry.BlockBitmap + (block / 8)] >> (int)(block % 8) & 1);
        Assert.Equal(0u, image.Record(orphan).Mode);
    }

    [Fact]
    public void What_only_seems_leaked_is_kept_while_a_directory_cannot_be_read()
    {
        ImageBuilder image = ImageBuilder.Sample();
        image.Bytes[image.Leaf("deep")] ^= 1;
        byte[] before = [.. image.Bytes];
        CheckReport report = image.Check(RepairMode.Leaks);
        Assert.True(report.Leaks > 0);
        Assert.Equal(0, report.LeaksFixed);
        Assert.Contains(report.Findings, line => line.Contains("was kept", StringComparison.Ordinal));
        Assert.Equal(before, image.Bytes);
    }

    [Fact]
    public void An_image_that_was_not_closed_is_repaired_only_after_its_recovery()
    {
        ImageBuilder image = ImageBuilder.Sample();
        image.Put64(PmLayout.StateOffset, StateWords.PackState(7, inUse: true));
        image.NewBlock();
        byte[] before = [.. image.Bytes];
        CheckReport report = image.Check(RepairMode.All);
        Assert.Equal((1, 0), (report.Leaks, report.LeaksFixed));
        Assert.Contains(report.Findings, line => line.Contains("'sphost image recover' first", StringComparison.Ordinal));
        Assert.Equal(before, image.Bytes);
    }

    [Fact]
    public void A_state_that_cannot_be_read_becomes_in_use_so_that_nothing_of_the_journal_is_lost()
    {
        ImageBuilder image = ImageBuilder.Sample();
        image.Bytes[PmLayout.StateOffset + 2] ^= 1;
        CheckReport report = image.Check(RepairMode.All);
        Assert.Equal((0, 1), (report.Corruptions, report.CorruptionsFixed));
        Assert.True(StateWords.TryUnpackState(BitConverter.ToUInt64(image.Bytes, (int)PmLayout.StateOffset), out _, out bool isInUse) && isInUse);
    }

    [Fact]
    public void A_removed_directory_waits_among_the_orphans()
    {
        ImageBuilder image = ImageBuilder.Sample();
        image.RemovedDirectory();
        Assert.Empty(image.Check().Findings);
    }

    [Fact]
    public void An_image_that_was_cut_off_is_told_so()
    {
        ImageBuilder image = ImageBuilder.Sample();
        using var medium = new MemoryMedium();
        medium.Write(0, image.Bytes.AsSpan(0, image.Bytes.Length / 2), ContentClass.FileSystem);
        CheckReport report = new PmChecker(medium).Run(RepairMode.All);
        Assert.True(report.Corruptions > 0);
        Assert.Contains(report.Findings, line => line.Contains("the image is cut off", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(1 << 20)]
    public void A_medium_that_holds_something_else_is_told_so(int length)
    {
        using var medium = new MemoryMedium();
        medium.SetLength(length);
        CheckReport report = new PmChecker(medium).Run(RepairMode.All);
        Assert.True(report.Corruptions > 0);
        Assert.Contains(report.Findings, line => line.Contains("this is no pmfs image", StringComparison.Ordinal));
    }

    [Fact]
    public void Lines_are_few_and_counts_complete_however_much_is_broken()
    {
        ImageBuilder image = ImageBuilder.Sample();
        for (long bit = 0; bit < image.Geometry.FirstDataBlock; bit++) image.SetBit(image.Geometry.BlockBitmap, bit, false);
        image.Bytes.AsSpan((int)image.Geometry.NodeBitmap, (int)(image.Geometry.Inodes / 8)).Fill(0xff);
        CheckReport report = image.Check();
        Assert.True(report.Corruptions + report.Leaks > image.Geometry.FirstDataBlock + 200);
        Assert.InRange(report.Findings.Count, 50, 210);
    }
}
