namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Ranges and images of sizes that bounds are made for.</summary>
public sealed class LargeRangeTests : ScratchFolder
{
    [Fact]
    public void Discard_of_more_clusters_than_may_wait_commits_on_its_way_and_frees_them_all()
    {
        string path = PathOf("many.qcow2");
        const long size = 80L << 20;
        OpenTestImage.Create(path, size, new Qcow2Options { ClusterSize = 512 });
        var image = new OpenTestImage(path);
        byte[] data = new byte[1 << 20];
        new Random(1).NextBytes(data);
        for (long offset = 0; offset < size; offset += data.Length) image.Disk.Write(offset, data);
        image.Disk.Flush();
        int before = image.Medium.Syncs;
        image.Disk.GetCapability<IDiscardDisk>()!.Discard(0, size);
        Assert.True(image.Medium.Syncs > before, "163,840 freed clusters waited for one commit");
        image.Disk.Flush();
        image.Disk.Read(size - data.Length, data);
        Assert.All(data, b => Assert.Equal(0, b));
        image.Close();
        Qemu.Img("check", path);
    }

    [Fact]
    public void Discarded_space_is_used_again_before_the_file_grows()
    {
        string path = PathOf("reuse.qcow2");
        OpenTestImage.Create(path, 64 << 20);
        var image = new OpenTestImage(path);
        byte[] data = new byte[1 << 20];
        new Random(1).NextBytes(data);
        for (int round = 0; round < 10; round++)
        {
            for (int i = 0; i < 8; i++) image.Disk.Write((i * 8L + round % 8) << 20 >> 3, data.AsSpan(0, 1 << 17));
            image.Disk.Flush();
            image.Disk.GetCapability<IDiscardDisk>()!.Discard(0, 64 << 20);
            image.Disk.Flush();
        }

        long length = new FileInfo(path).Length;
        image.Close();
        Qemu.Img("check", path);
        Assert.True(length < 8 << 20, $"the file has {length} bytes for 1 MiB of data at a time");
    }

    [Theory]
    [InlineData("preallocation=metadata")]
    [InlineData("preallocation=falloc")]
    [InlineData("preallocation=full")]
    [InlineData("preallocation=metadata,lazy_refcounts=on")]
    [InlineData("cluster_size=2M,preallocation=metadata")]
    public void Image_that_qemu_preallocated_is_written_in_place(string options)
    {
        string path = PathOf("pre.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", options, path, "20M");
        var image = new OpenTestImage(path);
        byte[] data = new byte[20 << 20];
        image.Disk.Read(0, data);
        Assert.All(data, b => Assert.Equal(0, b));
        new Random(1).NextBytes(data);
        image.Disk.Write(0, data);
        image.Disk.Flush();
        Assert.Equal(1, image.Medium.Syncs);
        image.Close();
        Qemu.Img("check", path);
        using var reopened = new OpenTestImage(path);
        byte[] read = new byte[data.Length];
        reopened.Disk.Read(0, read);
        Assert.Equal(data, read);
    }

    [Fact]
    public void Zero_clusters_that_qemu_allocated_beyond_the_end_of_the_file_are_read_and_written()
    {
        string path = PathOf("zero.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", path, "20M");
        Qemu.Io(path, "write -z 0 10M", "write -P 5 12M 64k", "write -z 12M 64k");
        var image = new OpenTestImage(path);
        byte[] data = new byte[1 << 20];
        image.Disk.Read(12 << 20, data);
        Assert.All(data, b => Assert.Equal(0, b));
        Array.Fill(data, (byte)9);
        image.Disk.Write((12 << 20) + 4096, data.AsSpan(0, 8192));
        image.Disk.Read(12 << 20, data);
        Assert.All(data[..4096], b => Assert.Equal(0, b));
        Assert.All(data[4096..12288], b => Assert.Equal(9, b));
        Assert.All(data[12288..], b => Assert.Equal(0, b));
        image.Close();
        Qemu.Img("check", path);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(512)]
    [InlineData(65536 + 512)]
    public void Disk_of_an_odd_size_is_written_to_its_very_end(int size)
    {
        string path = PathOf("odd.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", path, size.ToString());
        var image = new OpenTestImage(path);
        byte[] data = new byte[size];
        new Random(1).NextBytes(data);
        image.Disk.Write(0, data);
        image.Disk.GetCapability<IZeroingDisk>()!.WriteZeroes(size / 1024 * 512, size - (size / 1024 * 512), mayUnmap: true);
        data.AsSpan(size / 1024 * 512).Clear();
        Assert.Throws<StorageException>(() => image.Disk.Write(size, new byte[1]));
        byte[] read = new byte[size];
        image.Disk.Read(0, read);
        Assert.Equal(data, read);
        image.Close();
        Qemu.Img("check", path);
    }
}
