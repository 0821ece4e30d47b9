using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>What a mapping says to a journal, to other disks of the image, and to caches.</summary>
public sealed class MappingTests : ScratchFolder
{
    private const int Cluster = 64 << 10;

    [Theory]
    [InlineData("backing")]
    [InlineData("snapshot")]
    [InlineData("compressed")]
    public void Extent_that_takes_the_place_of_data_is_not_published_as_one_that_may_read_as_zeros(string old)
    {
        string path = PathOf("a.qcow2");
        File.WriteAllBytes(PathOf("base"), Filled(7, 4 * Cluster));
        if (old == "backing")
        {
            OpenTestImage.Create(path, 64 * Cluster, backing: "base", backingFormat: "raw");
        }
        else if (old == "compressed")
        {
            Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", PathOf("base"), path);
        }
        else
        {
            OpenTestImage.Create(path, 64 * Cluster);
            Qemu.Io(path, $"write -P 7 0 {4 * Cluster}");
            Qemu.Img("snapshot", "-c", "s", path);
        }

        var published = new List<PublishedExtent>();
        using var image = new OpenTestImage(path, journal: TestJournal.Atomic(t => published.AddRange(t.Published)));
        // One sector: a power cut between mapping and data must not zero its neighbours.
        image.Disk.Write(512, Filled(1, 512));
        image.Disk.Flush();
        // The data, and after a snapshot the copied L2 table.
        Assert.NotEmpty(published);
        Assert.All(published, extent => Assert.Equal(PriorContent.Unknown, extent.Prior));
    }

    [Fact]
    public void Extent_that_takes_the_place_of_zeros_at_the_end_of_the_file_needs_no_flush_of_its_own()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 64 * Cluster);
        var published = new List<PublishedExtent>();
        using var image = new OpenTestImage(path, journal: TestJournal.Atomic(t => published.AddRange(t.Published)));
        image.Disk.Write(512, Filled(1, 512));
        image.Disk.Flush();
        Assert.Equal(PriorContent.Zeros, Assert.Single(published).Prior);
    }

    [Fact]
    public void Snapshot_shows_its_data_as_data_where_the_live_disk_has_clusters_mapped_ahead()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 256L * Cluster);
        Qemu.Io(path, $"write -P 7 0 {64 * Cluster}");
        Qemu.Img("snapshot", "-c", "s", path);
        using var image = new OpenTestImage(path, journal: TestJournal.Atomic());
        image.Disk.GetCapability<IDiscardDisk>()!.Discard(0, 64 * Cluster);
        for (int i = 0; i < 6; i++) image.Disk.Write(i * Cluster, Filled(1, Cluster));
        var extents = new DiskExtent[16];
        // Mapped ahead: allocated, though the guest has written nothing there, so that in-place writes succeed at once.
        INonBlockingDisk live = image.Disk.GetCapability<INonBlockingDisk>()!;
        for (int tries = 0; tries < 500 && !live.TryWrite(9 * Cluster, Filled(1, Cluster)); tries++) Thread.Sleep(10);

        int count = image.Image.OpenDisk("s").GetCapability<IExtentDisk>()!.DescribeExtents(0, 64 * Cluster, extents);
        Assert.All(extents[..count], e => Assert.Equal(ExtentFlags.None, e.Flags));
    }

    [Fact]
    public void Place_of_a_freed_L2_table_shows_no_old_entries_when_it_becomes_another_table()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 8 << 20, new Qcow2Options { ClusterSize = 4096 });
        Qemu.Io(path, "write -P 7 0 4096");
        ClearCopiedFlagOfFirstL1Entry(path);

        var image = new OpenTestImage(path);
        byte[] read = new byte[4096];
        image.Disk.Read(0, read);
        // The table counts as shared: it is copied, and its old place is free after the commit.
        image.Disk.Write(4096, Filled(1, 4096));
        image.Disk.Flush();
        image.Disk.Flush();
        image.Disk.Write((2 << 20) + 8192, Filled(2, 4096));
        image.Disk.Read(2 << 20, read);
        Assert.Equal(0, read[0]);
        image.Close();
        Qemu.Io(path, "read -P 7 0 4096", "read -P 1 4096 4096", "read -P 0 2M 8192", "read -P 2 2105344 4096");
    }

    private static void ClearCopiedFlagOfFirstL1Entry(string path)
    {
        using var medium = new TestFileMedium(path);
        long l1 = Qcow2Header.Read(medium).L1TableOffset;
        byte[] entry = new byte[8];
        medium.Read(l1, entry);
        BinaryPrimitives.WriteUInt64BigEndian(entry, BinaryPrimitives.ReadUInt64BigEndian(entry) & ~Qcow2Layout.CopiedFlag);
        medium.Write(l1, entry, ContentClass.MapRoot);
    }

    private static byte[] Filled(byte value, int length) => [.. Enumerable.Repeat(value, length)];
}
