namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Growing and shrinking, with L1 and refcount-table growth.</summary>
public sealed class ResizeTests : ScratchFolder
{
    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(65536)]
    public void Grown_disk_reads_zeros_behind_the_old_end_and_keeps_the_rest(int clusterSize)
    {
        string path = PathOf("grow.qcow2");
        const int small = (1 << 20) + 1536;
        long large = clusterSize == 512 ? 64L << 20 : 40L << 30;
        OpenTestImage.Create(path, small, new Qcow2Options { ClusterSize = clusterSize });
        var image = new OpenTestImage(path);
        byte[] data = new byte[small];
        new Random(1).NextBytes(data);
        image.Disk.Write(0, data);
        image.Disk.GetCapability<IResizableDisk>()!.Resize(large);
        byte[] read = new byte[small + 65536];
        image.Disk.Read(0, read);
        Assert.Equal(data, read[..small]);
        Assert.All(read[small..], b => Assert.Equal(0, b));
        image.Disk.Write(large - 4096, data.AsSpan(0, 4096));
        image.Close();
        Qemu.Img("check", path);

        using var reopened = new OpenTestImage(path);
        Assert.Equal(large, reopened.Disk.Length);
        reopened.Disk.Read(large - 4096, read.AsSpan(0, 4096));
        Assert.Equal(data[..4096], read[..4096]);
    }

    [Fact]
    public void Shrunk_and_regrown_disk_does_not_show_what_was_cut()
    {
        string path = PathOf("shrink.qcow2");
        OpenTestImage.Create(path, 4 << 20);
        var image = new OpenTestImage(path);
        byte[] data = new byte[4 << 20];
        Array.Fill(data, (byte)0xee);
        image.Disk.Write(0, data);
        IResizableDisk resizable = image.Disk.GetCapability<IResizableDisk>()!;
        resizable.Resize(100 * 1024);
        Assert.Throws<StorageException>(() => image.Disk.Write(100 * 1024, new byte[512]));
        resizable.Resize(4 << 20);
        image.Disk.Read(0, data);
        Assert.All(data[..(100 * 1024)], b => Assert.Equal(0xee, b));
        Assert.All(data[(100 * 1024)..], b => Assert.Equal(0, b));
        image.Close();
        Qemu.Img("check", path);
    }

    [Fact]
    public void Growth_over_a_longer_backing_file_hides_it()
    {
        byte[] back = new byte[1 << 20];
        Array.Fill(back, (byte)7);
        File.WriteAllBytes(PathOf("back.raw"), back);
        string path = PathOf("top.qcow2");
        OpenTestImage.Create(path, 512 * 300, null, "back.raw", "raw");
        var image = new OpenTestImage(path);
        image.Disk.GetCapability<IResizableDisk>()!.Resize(1 << 20);
        byte[] read = new byte[1 << 20];
        image.Disk.Read(0, read);
        Assert.All(read[..(512 * 300)], b => Assert.Equal(7, b));
        Assert.All(read[(512 * 300)..], b => Assert.Equal(0, b));
        image.Close();
        Qemu.Img("check", path);
    }

    [Fact]
    public void L1_table_may_be_longer_than_a_refcount_block_counts()
    {
        string path = PathOf("long.qcow2");
        OpenTestImage.Create(path, 1 << 20, new Qcow2Options { ClusterSize = 512, RefcountBits = 64 });
        var image = new OpenTestImage(path);
        image.Disk.Write(0, new byte[5000]);
        // 32 KiB map one L1 entry: 16384 entries, 256 clusters of table; a block counts 64.
        image.Disk.GetCapability<IResizableDisk>()!.Resize(512L << 20);
        image.Disk.Write((512L << 20) - 512, new byte[512]);
        image.Close();
        Qemu.Img("check", path);
    }

    [Fact]
    public void Refcount_table_grows_when_the_image_outgrows_it()
    {
        // 64-bit refcounts in 512-byte clusters: a block counts 64 clusters, a table cluster names 64 blocks: 2 MiB.
        string path = PathOf("table.qcow2");
        OpenTestImage.Create(path, 12 << 20, new Qcow2Options { ClusterSize = 512, RefcountBits = 64 });
        var image = new OpenTestImage(path);
        byte[] data = new byte[12 << 20];
        new Random(3).NextBytes(data);
        for (int offset = 0; offset < data.Length; offset += 1 << 18) image.Disk.Write(offset, data.AsSpan(offset, 1 << 18));
        image.Close();
        Qemu.Img("check", path);
        using var reopened = new OpenTestImage(path);
        byte[] read = new byte[data.Length];
        reopened.Disk.Read(0, read);
        Assert.Equal(data, read);
    }

    [Theory]
    [InlineData(-512)]
    [InlineData(1000)]
    [InlineData(long.MaxValue / 1024 * 512)]
    public void Impossible_size_is_refused_and_nothing_changes(long size)
    {
        string path = PathOf("bad.qcow2");
        OpenTestImage.Create(path, 1 << 20);
        using var image = new OpenTestImage(path);
        Assert.Equal("SP3012", Assert.Throws<DiagnosticException>(() => image.Disk.GetCapability<IResizableDisk>()!.Resize(size)).Code);
        Assert.Equal(1 << 20, image.Disk.Length);
    }
}
