namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Random operations against a byte array, then against QEMU: its check, its own reading of the image.</summary>
public sealed class RandomOperationTests : ScratchFolder
{
    private const int Size = 9 * 1024 * 1024 + 512;

    public static TheoryData<int, int, int, string> Shapes()
    {
        var shapes = new TheoryData<int, int, int, string>();
        foreach (int clusterSize in (int[])[512, 4096, 65536, 2 << 20]) shapes.Add(clusterSize, 16, 3, "none");
        foreach (int bits in (int[])[1, 2, 4, 8, 32, 64]) shapes.Add(4096, bits, 3, "none");
        foreach (string start in (string[])["raw", "qcow2", "compressed", "snapshot"]) shapes.Add(65536, 16, 3, start);
        foreach (string start in (string[])["raw", "compressed", "snapshot"]) shapes.Add(4096, 8, 3, start);
        foreach (string start in (string[])["none", "raw", "compressed", "snapshot"]) shapes.Add(65536, 16, 2, start);
        return shapes;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Guest_sees_what_it_wrote_and_qemu_agrees(int clusterSize, int refcountBits, int version, string start)
    {
        string path = PathOf("disk.qcow2");
        byte[] model = MakeStart(path, clusterSize, refcountBits, version, start);
        var random = new Random(clusterSize + refcountBits + version + start.Length);
        for (int round = 0; round < 3; round++)
        {
            var image = new OpenTestImage(path, options: new Qcow2Options { MapCache = 64 << 10, RefcountCache = 64 << 10 });
            for (int i = 0; i < 120; i++) Step(image.Disk, model, random, clusterSize);
            AssertReadsAs(model, image.Disk);
            image.Close();
            (int code, string output, string errors) = Qemu.Run("qemu-img", "check", "-f", "qcow2", path);
            Assert.True(code == 0, $"round {round}: {output}{errors}");
        }

        AssertQemuReadsAs(model, path);
    }

    [Fact]
    public void Writers_side_by_side_in_one_cluster_lose_nothing()
    {
        string path = PathOf("disk.qcow2");
        OpenTestImage.Create(path, Size);
        byte[] model = new byte[Size];
        var image = new OpenTestImage(path, options: new Qcow2Options { MapCache = 64 << 10 });
        const int writers = 8;
        // Each writer owns every eighth sector, so that all of them meet in every cluster.
        var threads = Enumerable.Range(0, writers).Select(w => new Thread(() =>
        {
            var random = new Random(w);
            byte[] sector = new byte[512];
            for (int i = 0; i < 1500; i++)
            {
                long offset = ((random.Next(Size / 512 / writers) * writers) + w) * 512L;
                random.NextBytes(sector);
                image.Disk.Write(offset, sector);
                sector.CopyTo(model, offset);
                if (i % 200 == 0) image.Disk.Flush();
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        AssertReadsAs(model, image.Disk);
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        AssertQemuReadsAs(model, path);
    }

    private static void Step(IVirtualDisk disk, byte[] model, Random random, int clusterSize)
    {
        long offset = random.Next(0, Size / 512) * 512L;
        int longest = (int)Math.Min(Size - offset, Math.Max(clusterSize * 5, 64 << 10));
        if (random.Next(3) == 0) offset = Math.Min(offset / clusterSize * clusterSize, Size - 512);
        int length = Math.Min(random.Next(1, (longest / 512) + 1) * 512, (int)(Size - offset));
        if (random.Next(4) == 0) length = Math.Min(length, 512 * random.Next(1, 8));
        switch (random.Next(12))
        {
            case < 7:
                byte[] data = new byte[length];
                random.NextBytes(data);
                disk.Write(offset, data, random.Next(8) == 0 ? WriteFlags.ForceUnitAccess : WriteFlags.None);
                data.CopyTo(model, offset);
                break;
            case 7:
                disk.GetCapability<IZeroingDisk>()!.WriteZeroes(offset, length, mayUnmap: random.Next(2) == 0);
                model.AsSpan((int)offset, length).Clear();
                break;
            case 8:
                disk.GetCapability<IDiscardDisk>()!.Discard(offset, length);
                // What a discard leaves is the disk's choice: the model takes it over, but it must be old bytes or zeros.
                byte[] after = new byte[length];
                disk.Read(offset, after);
                for (int i = 0; i < length; i++) Assert.True(after[i] == 0 || after[i] == model[offset + i]);
                after.CopyTo(model, offset);
                break;
            case 9:
                disk.Flush();
                break;
            default:
                byte[] read = new byte[length];
                disk.Read(offset, read);
                Assert.True(model.AsSpan((int)offset, length).SequenceEqual(read), $"read of {length} at {offset}");
                break;
        }
    }

    private byte[] MakeStart(string path, int clusterSize, int refcountBits, int version, string start)
    {
        byte[] model = new byte[Size];
        var options = new Qcow2Options { ClusterSize = clusterSize, RefcountBits = refcountBits, Version = version };
        string compat = version == 3 ? "1.1" : "0.10";
        string creation = $"compat={compat},cluster_size={clusterSize}" + (version == 3 ? $",refcount_bits={refcountBits}" : "");
        if (start == "none")
        {
            OpenTestImage.Create(path, Size, options);
            return model;
        }

        var random = new Random(7);
        // Halves: random bytes and a repeating pattern, so that compression has both cases; the rest zeros.
        random.NextBytes(model.AsSpan(0, Size / 4));
        for (int i = Size / 4; i < Size / 2; i++) model[i] = (byte)(i / 700);
        string raw = PathOf("start.raw");
        File.WriteAllBytes(raw, model[..(start == "raw" ? Size / 2 : Size)]);
        switch (start)
        {
            case "raw":
                OpenTestImage.Create(path, Size, options, "start.raw", "raw");
                break;
            case "qcow2":
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", raw, PathOf("base.qcow2"));
                OpenTestImage.Create(path, Size, options, "base.qcow2", "qcow2");
                break;
            case "compressed":
                Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", creation, raw, path);
                break;
            case "snapshot":
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", "-o", creation, raw, path);
                Qemu.Img("snapshot", "-c", "first", path);
                break;
        }

        return model;
    }

    private static void AssertReadsAs(byte[] model, IVirtualDisk disk)
    {
        byte[] all = new byte[model.Length];
        disk.Read(0, all);
        int different = all.AsSpan().CommonPrefixLength(model);
        Assert.True(different == model.Length, $"the first difference is at {different}");
    }

    private void AssertQemuReadsAs(byte[] model, string path)
    {
        string raw = PathOf("converted.raw");
        Qemu.Img("convert", "-f", "qcow2", "-O", "raw", path, raw);
        Assert.Equal(model.Length, File.ReadAllBytes(raw).AsSpan().CommonPrefixLength(model));
    }
}
