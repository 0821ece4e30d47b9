namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Host errors at every single write: told to the request or the flush, and the image stays consistent.</summary>
public sealed class FailureTests : ScratchFolder
{
    private const int Size = 4 << 20;

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(65536)]
    public void Host_disk_full_at_any_write_leaves_a_consistent_image_that_goes_on(int clusterSize)
    {
        int failures = 0;
        for (int failAt = 0; failAt < 60; failAt++)
        {
            string path = PathOf($"full-{clusterSize}-{failAt}.qcow2");
            OpenTestImage.Create(path, Size, new Qcow2Options { ClusterSize = clusterSize });
            byte[] model = new byte[Size];
            bool[] unsure = new bool[Size / 512];
            var image = new OpenTestImage(path);
            int writes = 0;
            image.Medium.BeforeWrite = (offset, length, _) =>
            {
                if (writes++ != failAt) return;
                failures++;
                throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
            };
            var random = new Random(failAt);
            for (int i = 0; i < 25; i++) WriteOrFail(image.Disk, model, unsure, random);

            byte[] all = new byte[Size];
            image.Disk.Read(0, all);
            for (int s = 0; s < unsure.Length; s++)
            {
                if (!unsure[s]) Assert.True(all.AsSpan(s * 512, 512).SequenceEqual(model.AsSpan(s * 512, 512)), $"sector {s}, failure at write {failAt}");
            }

            image.Close();
            (int code, string output, string errors) = Qemu.Run("qemu-img", "check", "-f", "qcow2", path);
            Assert.True(code == 0, $"failure at write {failAt}: {output}{errors}");
            File.Delete(path);
        }

        Assert.True(failures > 30);
    }

    [Fact]
    public void Write_that_finds_the_host_full_tells_the_guest_so()
    {
        string path = PathOf("full.qcow2");
        OpenTestImage.Create(path, Size);
        using var image = new OpenTestImage(path);
        image.Medium.BeforeWrite = (offset, length, _) => throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
        StorageException error = Assert.Throws<StorageException>(() => image.Disk.Write(0, new byte[4096]));
        Assert.Equal(StorageError.NoSpace, error.Error);
    }

    [Fact]
    public void Guest_data_is_never_written_to_a_metadata_cluster_that_a_damaged_table_names()
    {
        string path = PathOf("self.qcow2");
        OpenTestImage.Create(path, Size);
        var image = new OpenTestImage(path);
        image.Disk.Write(0, new byte[65536]);
        image.Close();
        // The first L2 entry names its own table.
        long l1 = BitConverter.ToInt64([.. ReadAt(path, 40, 8).Reverse()]);
        byte[] l1Entry = ReadAt(path, l1, 8);
        l1Entry[0] &= 0x7f;
        long l2 = BitConverter.ToInt64([.. l1Entry.Reverse()]);
        byte[] damaged = [.. l1Entry];
        damaged[0] |= 0x80;
        WriteAt(path, l2, damaged);

        using var reopened = new OpenTestImage(path);
        StorageException error = Assert.Throws<StorageException>(() => reopened.Disk.Write(0, new byte[512]));
        Assert.Contains("corrupt", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x1234567)]
    [InlineData(0x7fffffff0000)]
    public void Damaged_l1_entry_is_refused_at_open(long entry)
    {
        string path = PathOf("l1.qcow2");
        OpenTestImage.Create(path, Size);
        long l1 = BitConverter.ToInt64([.. ReadAt(path, 40, 8).Reverse()]);
        WriteAt(path, l1, [.. BitConverter.GetBytes(entry).Reverse()]);
        DiagnosticException error = Assert.Throws<DiagnosticException>(() => new OpenTestImage(path));
        Assert.Equal("SP3005", error.Code);
    }

    private static void WriteOrFail(IVirtualDisk disk, byte[] model, bool[] unsure, Random random)
    {
        int offset = random.Next(Size / 512) * 512;
        int length = Math.Min(Size - offset, random.Next(1, 300) * 512);
        byte[] data = new byte[length];
        random.NextBytes(data);
        try
        {
            if (random.Next(5) == 0) disk.Flush();
            disk.Write(offset, data);
            data.CopyTo(model, offset);
            unsure.AsSpan(offset / 512, length / 512).Clear();
        }
        catch (StorageException e) when (e.Error == StorageError.NoSpace)
        {
            // A failed write may have arrived in part.
            unsure.AsSpan(offset / 512, length / 512).Fill(true);
        }
    }

    private static byte[] ReadAt(string path, long offset, int length)
    {
        using FileStream file = File.OpenRead(path);
        file.Position = offset;
        byte[] bytes = new byte[length];
        file.ReadExactly(bytes);
        return bytes;
    }

    private static void WriteAt(string path, long offset, byte[] bytes)
    {
        using FileStream file = File.OpenWrite(path);
        file.Position = offset;
        file.Write(bytes);
    }
}
