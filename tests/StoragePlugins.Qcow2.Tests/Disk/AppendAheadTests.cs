namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Preallocation ahead of a guest that appends: it saves metadata, and nobody can see it.</summary>
public sealed class AppendAheadTests : ScratchFolder
{
    private const int Cluster = 64 << 10;

    private static readonly TestJournal s_atomic = TestJournal.Atomic();

    [Fact]
    public void Appends_into_a_prepared_run_change_no_metadata()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 1L << 30);
        var image = new OpenTestImage(path, journal: s_atomic);
        int metadata = 0;
        image.Medium.BeforeWrite = (_, _, content) => metadata += content is ContentClass.Map or ContentClass.Allocation ? 1 : 0;
        byte[] data = new byte[Cluster];
        const int appends = 600;
        for (int i = 0; i < appends; i++)
        {
            data.AsSpan().Fill((byte)(i + 1));
            image.Disk.Write((long)i * Cluster, data);
            image.Disk.Flush();
            Thread.Sleep(1);
        }

        image.Close();
        Assert.True(metadata < appends / 2, $"{metadata} writes of metadata for {appends} appends");
        Qemu.Img("check", "-f", "qcow2", path);
        for (int i = 0; i < appends; i += 37) Qemu.Io(path, $"read -P {(i + 1) & 255} {(long)i * Cluster} {Cluster}");
        Qemu.Io(path, $"read -P 0 {(long)appends * Cluster} 64M");
    }

    [Fact]
    public void Closed_image_keeps_nothing_of_what_was_prepared()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 1L << 30);
        var image = new OpenTestImage(path, journal: s_atomic);
        for (int i = 0; i < 30; i++)
        {
            image.Disk.Write((long)i * Cluster, new byte[Cluster]);
            if (i is >= 8 and < 12) Until(() => new FileInfo(path).Length > (8 + 16) * Cluster);
        }

        image.Disk.Flush();
        image.Close();

        // Where the guest overtook the preparation its clusters lie behind the run: what is given back there is a hole, not the file's end.
        Assert.Contains("\n30/16384 = ", Qemu.Img("check", "-f", "qcow2", path), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_prepared_on_a_nearly_full_host()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 1L << 30);
        var image = new OpenTestImage(path, journal: s_atomic, freeBytes: 4 << 20);
        for (int i = 0; i < 40; i++)
        {
            image.Disk.Write((long)i * Cluster, new byte[Cluster]);
            Thread.Sleep(1);
        }

        // Header, refcount table and block, L1 and L2 table.
        Assert.True(image.Medium.Length <= (40 + 5) * Cluster, $"{image.Medium.Length} bytes");
        image.Close();
    }

    [Fact]
    public void Prepared_clusters_are_holes_to_the_guest_and_leave_the_backing_file_visible()
    {
        string path = PathOf("disk");
        File.WriteAllBytes(PathOf("base"), [.. Enumerable.Repeat((byte)7, 64 * Cluster)]);
        OpenTestImage.Create(path, 1L << 30, backing: "base", backingFormat: "raw");
        var image = new OpenTestImage(path, journal: s_atomic);
        byte[] data = new byte[Cluster];
        for (int i = 0; i < 30; i++) image.Disk.Write((long)i * Cluster, data);
        for (int i = 64; i < 80; i++) image.Disk.Write((long)i * Cluster, data);
        Until(() => new FileInfo(path).Length > (30 + 16 + 10) * Cluster);

        byte[] read = new byte[Cluster];
        image.Disk.Read(33L * Cluster, read);
        Assert.Equal(7, read[100]);
        var extents = new DiskExtent[16];
        int count = image.Disk.GetCapability<IExtentDisk>()!.DescribeExtents(80L * Cluster, 64L * Cluster, extents);
        Assert.All(extents[..count], e => Assert.Equal(ExtentFlags.Hole | ExtentFlags.Zero, e.Flags));
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
    }

    [Fact]
    public void Several_appending_writers_with_discards_and_overwrites_between_lose_nothing()
    {
        string path = PathOf("disk");
        const int size = 96 << 20;
        OpenTestImage.Create(path, size);
        byte[] model = new byte[size];
        for (int round = 0; round < 3; round++)
        {
            var image = new OpenTestImage(path, options: new Qcow2Options { MapCache = 64 << 10 }, journal: s_atomic);
            int seed = round;
            var threads = Enumerable.Range(0, 4).Select(w => new Thread(() => Append(image.Disk, model, w * (size / 4), size / 4, (seed * 4) + w))).ToList();
            threads.ForEach(t => t.Start());
            threads.ForEach(t => t.Join());
            byte[] read = new byte[size];
            image.Disk.Read(0, read);
            Assert.True(read.AsSpan().SequenceEqual(model));
            image.Close();
            Qemu.Img("check", "-f", "qcow2", path);
        }

        File.WriteAllBytes(PathOf("model"), model);
        Qemu.Img("compare", "-f", "qcow2", "-F", "raw", path, PathOf("model"));
    }

    [Fact]
    public void Crash_with_prepared_clusters_leaves_no_leak_and_reads_as_zeros()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 1L << 30);
        var image = new OpenTestImage(path, journal: s_atomic);
        byte[] data = [.. Enumerable.Repeat((byte)9, Cluster)];
        for (int i = 0; i < 60; i++)
        {
            image.Disk.Write((long)i * Cluster, data);
            image.Disk.Flush();
            Thread.Sleep(1);
        }

        image.Dispose();
        Qemu.Img("check", "-f", "qcow2", path);
        Qemu.Io(path, $"read -P 9 0 {60 * Cluster}", $"read -P 0 {60 * Cluster} 64M");
    }

    [Fact]
    public void Streams_that_end_soon_do_not_gather_space_without_bound()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 8L << 30);
        var image = new OpenTestImage(path, options: new Qcow2Options { Preallocate = 1 << 20 }, journal: s_atomic);
        const int streams = 150;
        for (int i = 0; i < streams; i++)
        {
            for (int c = 0; c < 5; c++) image.Disk.Write((i * (32L << 20)) + (c * Cluster), Filled(3));
            image.Disk.Flush();
            Thread.Sleep(5);
        }

        // As a crash: what is mapped ahead now stays mapped.
        image.Disk.Flush();
        image.Dispose();
        Qemu.Img("check", "-f", "qcow2", path);
        using (var medium = new TestFileMedium(path, readOnly: true))
        {
            long mapped = new StoragePlugins.Qcow2.Check.Qcow2Checker(medium, StoragePlugins.Qcow2.Header.Qcow2Header.Read(medium)).Run(RepairMode.None).AllocatedBytes;
            // 16 runs of 1 MiB, one more in the making.
            Assert.True(mapped <= (streams * 5L * Cluster) + (17 << 20), $"{mapped} bytes are mapped for {streams * 5 * Cluster} written");
        }

        for (int i = 0; i < streams; i += 13) Qemu.Io(path, $"read -P 3 {i * 32}M {5 * Cluster}", $"read -P 0 {(i * (32L << 20)) + (5 * Cluster)} 1M");
    }

    [Fact]
    public void Cluster_that_is_counted_behind_the_end_of_the_file_is_not_mapped_ahead()
    {
        string path = PathOf("disk");
        OpenTestImage.Create(path, 1L << 30);
        var first = new OpenTestImage(path);
        for (int i = 0; i < 32; i++) first.Disk.Write((long)i * Cluster, Filled(7));
        // Zero, and keeps its host cluster: the last of the file, which then ends before it.
        first.Disk.GetCapability<IZeroingDisk>()!.WriteZeroes(31L * Cluster, Cluster, mayUnmap: false);
        first.Disk.GetCapability<IDiscardDisk>()!.Discard(0, 16 * Cluster);
        first.Close();
        using (FileStream file = File.OpenWrite(path)) file.SetLength(file.Length - Cluster);

        using var image = new OpenTestImage(path, journal: s_atomic);
        INonBlockingDisk live = image.Disk.GetCapability<INonBlockingDisk>()!;
        for (int i = 0; i < 6; i++) image.Disk.Write((64L + i) * Cluster, Filled(1));
        Until(() => live.TryWrite((64L + 10) * Cluster, Filled(2)));
        for (int i = 4; i < 16; i++) image.Disk.Write((64L + i) * Cluster, Filled(2));
        image.Disk.Write(31L * Cluster, Filled(9));
        byte[] read = new byte[12 * Cluster];
        image.Disk.Read((64L + 4) * Cluster, read);
        Assert.True(read.AsSpan().IndexOfAnyExcept((byte)2) < 0, "two guest clusters share a host cluster");
    }

    private static void Until(Func<bool> holds)
    {
        for (int i = 0; i < 500 && !holds(); i++) Thread.Sleep(10);
        Assert.True(holds());
    }

    private static byte[] Filled(byte value) => [.. Enumerable.Repeat(value, Cluster)];

    private static void Append(IVirtualDisk disk, byte[] model, int start, int length, int seed)
    {
        var random = new Random(seed);
        int at = start;
        while (at < start + length - (4 * Cluster))
        {
            int size = random.Next(6) == 0 ? random.Next(1, 128) * 512 : Cluster;
            Write(disk, model, random, at, size);
            at += size;
            switch (random.Next(24))
            {
                case 0:
                    // Into what may be prepared.
                    Write(disk, model, random, Math.Min(at + (random.Next(40) * Cluster), start + length - Cluster), random.Next(1, 128) * 512);
                    break;
                case 1:
                    int zero = Math.Min(at + (random.Next(30) * Cluster), start + length - (3 * Cluster)) / Cluster * Cluster;
                    disk.GetCapability<IZeroingDisk>()!.WriteZeroes(zero, 2 * Cluster, mayUnmap: random.Next(2) == 0);
                    model.AsSpan(zero, 2 * Cluster).Clear();
                    break;
                case 2:
                    disk.Flush();
                    break;
                case 3:
                    at = Math.Min(at + (random.Next(20) * Cluster), start + length - (4 * Cluster));
                    break;
            }
        }
    }

    private static void Write(IVirtualDisk disk, byte[] model, Random random, int offset, int length)
    {
        byte[] data = new byte[length];
        random.NextBytes(data);
        disk.Write(offset, data);
        data.CopyTo(model, offset);
    }
}
