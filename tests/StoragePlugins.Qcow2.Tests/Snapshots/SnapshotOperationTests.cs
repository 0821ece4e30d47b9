using System.Text.Json;
using StoragePlugins.Qcow2.Tests.Disk;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>Taking, applying and deleting snapshots of an open image: with QEMU, beside writers, and what is refused.</summary>
public sealed class SnapshotOperationTests : ScratchFolder
{
    private const int Cluster = 64 << 10;

    private readonly string _path;

    public SnapshotOperationTests() => _path = PathOf("disk.qcow2");

    [Fact]
    public void QEMU_lists_what_was_taken()
    {
        OpenTestImage.Create(_path, 64 << 20);
        using (var image = new OpenTestImage(_path))
        {
            Snapshots(image).CreateSnapshot("before the upgrade");
            image.Disk.GetCapability<IResizableDisk>()!.Resize(96 << 20);
            Snapshots(image).CreateSnapshot("größer");
            image.Close();
        }

        JsonElement listed = JsonDocument.Parse(Qemu.Img("info", "--output=json", _path)).RootElement.GetProperty("snapshots");
        Assert.Equal(["before the upgrade", "größer"], listed.EnumerateArray().Select(s => s.GetProperty("name").GetString()!));
        Assert.Equal(["1", "2"], listed.EnumerateArray().Select(s => s.GetProperty("id").GetString()!));
        Assert.All(listed.EnumerateArray(), s => Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - s.GetProperty("date-sec").GetInt64(), 0, 60));
        Assert.All(listed.EnumerateArray(), s => Assert.InRange(s.GetProperty("date-nsec").GetInt64(), 0, 999_999_999));
    }

    [Theory]
    [InlineData("ordered", 30L << 20)]
    [InlineData("internal", 30L << 20)]
    [InlineData("ordered", 700L << 20)]
    [InlineData("internal", 40L << 30)]
    public void Applying_a_snapshot_of_another_size_restores_the_size(string journal, long otherSize)
    {
        OpenTestImage.Create(_path, 64 << 20);
        var image = new OpenTestImage(_path, journal: TestJournal.Named(journal));
        image.Disk.Write((64 << 20) - Cluster, Filled(1, Cluster));
        Snapshots(image).CreateSnapshot("first");
        image.Disk.GetCapability<IResizableDisk>()!.Resize(otherSize);
        image.Disk.Write(otherSize - Cluster, Filled(2, Cluster));
        Snapshots(image).CreateSnapshot("second");
        Snapshots(image).ApplySnapshot("first");
        Assert.Equal(64 << 20, image.Disk.Length);
        Assert.Equal(1, ReadByte(image.Disk, (64 << 20) - 1));
        Snapshots(image).ApplySnapshot("second");
        Assert.Equal(otherSize, image.Disk.Length);
        Assert.Equal(2, ReadByte(image.Disk, otherSize - 1));
        image.Close();
        Qemu.Img("check", "-q", _path);
        Qemu.Img("snapshot", "-a", "first", _path);
        Qemu.Io(_path, $"read -P 1 {(64 << 20) - Cluster} {Cluster}");
        Qemu.Img("check", "-q", _path);
    }

    [Theory]
    [InlineData("2", "SP3023")]
    [InlineData("taken", "SP3023")]
    [InlineData("", "SP3024")]
    [InlineData("a\nb", "SP3024")]
    public void Name_that_cannot_be_had_is_refused_and_nothing_changes(string name, string code)
    {
        using OpenTestImage image = OpenWithTwoSnapshots();
        Assert.Equal(code, Assert.Throws<DiagnosticException>(() => Snapshots(image).CreateSnapshot(name)).Code);
        Assert.Equal("SP3024", Assert.Throws<DiagnosticException>(() => Snapshots(image).CreateSnapshot(new string('ä', 128))).Code);
        Snapshots(image).CreateSnapshot(new string('a', 255));
        Assert.Equal(4, image.Image.ListDisks(null, 100).Count);
        image.Close();
        Qemu.Img("check", "-q", _path);
    }

    [Fact]
    public void Unknown_name_is_told_with_the_names_near_it()
    {
        using OpenTestImage image = OpenWithTwoSnapshots();
        foreach (Action<string> operation in (Action<string>[])[Snapshots(image).ApplySnapshot, Snapshots(image).DeleteSnapshot])
        {
            DiagnosticException error = Assert.Throws<DiagnosticException>(() => operation("takem"));
            Assert.Equal("SP3021", error.Code);
            Assert.Contains("snapshots taken, other", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Id_names_a_snapshot_too_as_for_qemu_img()
    {
        using OpenTestImage image = OpenWithTwoSnapshots();
        Snapshots(image).DeleteSnapshot("2");
        Assert.Equal(["taken"], image.Image.ListDisks("", 100).Select(d => d.Name));
    }

    [Fact]
    public void Read_only_image_keeps_its_snapshots()
    {
        OpenWithTwoSnapshots().Close();
        using var image = new OpenTestImage(_path, readOnly: true);
        foreach (Action<string> operation in (Action<string>[])[Snapshots(image).CreateSnapshot, Snapshots(image).ApplySnapshot, Snapshots(image).DeleteSnapshot])
            Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => operation("taken")).Error);
    }

    [Fact]
    public void Closed_image_takes_no_snapshots()
    {
        using OpenTestImage image = OpenWithTwoSnapshots();
        image.Image.Close();
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => Snapshots(image).CreateSnapshot("late")).Error);
    }

    [Fact]
    public void Disk_of_a_deleted_snapshot_is_gone_and_others_stay_readable()
    {
        using OpenTestImage image = OpenWithTwoSnapshots();
        IVirtualDisk deleted = image.Image.OpenDisk("taken"), kept = image.Image.OpenDisk("other");
        Snapshots(image).DeleteSnapshot("taken");
        image.Disk.Write(0, Filled(9, 20 * Cluster));
        image.Disk.Flush();
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => ReadByte(deleted, 0)).Error);
        Assert.Equal(2, ReadByte(kept, 0));
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 2)]
    public void Refcounts_too_narrow_for_another_snapshot_are_told_and_nothing_changes(int refcountBits, int possible)
    {
        OpenTestImage.Create(_path, 8 << 20, new Qcow2Options { RefcountBits = refcountBits });
        using (var image = new OpenTestImage(_path))
        {
            image.Disk.Write(0, Filled(1, 3 * Cluster));
            for (int i = 0; i < possible; i++) Snapshots(image).CreateSnapshot($"s{i}");
            Assert.Equal("SP3025", Assert.Throws<DiagnosticException>(() => Snapshots(image).CreateSnapshot("one more")).Code);
            image.Disk.Write(Cluster, Filled(2, Cluster));
            Assert.Equal(possible, image.Image.ListDisks("", 100).Count);
            image.Close();
        }

        Qemu.Img("check", "-q", _path);
        Qemu.Io(_path, $"read -P 2 {Cluster} {Cluster}");
    }

    [Fact]
    public void Version_2_image_with_snapshots_is_not_resized_as_QEMU_does_not()
    {
        OpenTestImage.Create(_path, 8 << 20, new Qcow2Options { Version = 2 });
        using var image = new OpenTestImage(_path);
        Snapshots(image).CreateSnapshot("s");
        Assert.Equal("SP3026", Assert.Throws<DiagnosticException>(() => image.Disk.GetCapability<IResizableDisk>()!.Resize(16 << 20)).Code);
        Snapshots(image).DeleteSnapshot("s");
        image.Disk.GetCapability<IResizableDisk>()!.Resize(16 << 20);
    }

    [Theory]
    [InlineData("ordered")]
    [InlineData("internal")]
    public void Compressed_clusters_are_shared_and_freed_with_their_snapshots(string journal)
    {
        byte[] content = new byte[4 << 20];
        for (int i = 0; i < content.Length; i++) content[i] = (byte)(i / 5000);
        File.WriteAllBytes(PathOf("raw"), content);
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", PathOf("raw"), _path);
        long before = new FileInfo(_path).Length;
        var image = new OpenTestImage(_path, journal: TestJournal.Named(journal));
        Snapshots(image).CreateSnapshot("compressed");
        image.Disk.Write(0, Filled(3, 2 << 20));
        Snapshots(image).CreateSnapshot("half");
        Snapshots(image).ApplySnapshot("compressed");
        Snapshots(image).DeleteSnapshot("half");
        image.Close();
        Qemu.Img("check", "-q", _path);
        Qemu.Img("compare", "-f", "qcow2", "-F", "raw", _path, PathOf("raw"));
        var again = new OpenTestImage(_path);
        Snapshots(again).DeleteSnapshot("compressed");
        again.Close();
        Qemu.Img("check", "-q", _path);
        Qemu.Img("compare", "-f", "qcow2", "-F", "raw", _path, PathOf("raw"));
        Assert.True(before < 4 << 20);
    }

    [Fact]
    public void What_is_prepared_for_an_appending_guest_is_in_no_snapshot()
    {
        OpenTestImage.Create(_path, 256 << 20);
        var image = new OpenTestImage(_path, journal: TestJournal.Internal);
        for (int i = 0; i < 400; i++)
        {
            image.Disk.Write(i * (long)Cluster, Filled((byte)(i + 1), Cluster));
            if (i % 10 == 0) image.Disk.Flush();
            if (i % 100 == 50) Snapshots(image).CreateSnapshot($"s{i}");
            if (i == 320) Snapshots(image).DeleteSnapshot("s50");
        }

        Snapshots(image).ApplySnapshot("s150");
        for (int i = 151; i < 400; i++) image.Disk.Write(i * (long)Cluster, Filled((byte)(i + 1), Cluster));
        image.Close();
        Qemu.Img("check", "-q", _path);
        Qemu.Io(_path, [.. Enumerable.Range(0, 400).Select(i => $"read -P {(byte)(i + 1)} {i * (long)Cluster} {Cluster}")]);
        Qemu.Img("snapshot", "-a", "s250", _path);
        Assert.Equal(251L * Cluster, JsonDocument.Parse(Qemu.Img("map", "--output=json", _path)).RootElement.EnumerateArray()
            .Where(e => e.GetProperty("data").GetBoolean()).Sum(e => e.GetProperty("length").GetInt64()));
    }

    [Theory]
    [InlineData("ordered")]
    [InlineData("internal")]
    public void Snapshot_beside_a_writer_shows_one_moment(string journal)
    {
        OpenTestImage.Create(_path, 16 << 20);
        var image = new OpenTestImage(_path, journal: TestJournal.Named(journal));
        bool stop = false;
        var writer = new Thread(() =>
        {
            // The same number goes here, then there: at no moment is the second ahead.
            for (int n = 1; !Volatile.Read(ref stop); n++)
            {
                image.Disk.Write(0, Numbered(n));
                image.Disk.Write(9 << 20, Numbered(n));
                if (n % 16 == 0) image.Disk.Flush();
            }
        });
        writer.Start();
        for (int i = 0; i < 12; i++)
        {
            Snapshots(image).CreateSnapshot($"s{i}");
            IVirtualDisk snapshot = image.Image.OpenDisk($"s{i}");
            int first = NumberAt(snapshot, 0), second = NumberAt(snapshot, 9 << 20);
            Assert.InRange(first - second, 0, 1);
            if (i % 3 == 2) Snapshots(image).DeleteSnapshot($"s{i - 1}");
        }

        Volatile.Write(ref stop, true);
        writer.Join();
        image.Close();
        Qemu.Img("check", "-q", _path);
    }

    [Theory]
    [InlineData("ordered")]
    [InlineData("tiny internal")]
    public void L1_table_longer_than_a_refcount_block_counts_is_copied(string journal)
    {
        // 32 KiB map one L1 entry: 8192 entries, 128 clusters of table; a block counts 64.
        OpenTestImage.Create(_path, 256 << 20, new Qcow2Options { ClusterSize = journal == "ordered" ? 512 : 4096, RefcountBits = 64 });
        var image = new OpenTestImage(_path, journal: TestJournal.Named(journal));
        byte[] data = new byte[3 << 20];
        new Random(1).NextBytes(data);
        image.Disk.Write(200 << 20, data);
        Snapshots(image).CreateSnapshot("a");
        image.Disk.Write(201 << 20, data);
        Snapshots(image).CreateSnapshot("b");
        Snapshots(image).ApplySnapshot("a");
        Snapshots(image).DeleteSnapshot("a");
        byte[] read = new byte[data.Length];
        image.Disk.Read(200 << 20, read);
        Assert.Equal(data, read);
        image.Close();
        Qemu.Img("check", "-q", _path);
    }

    private OpenTestImage OpenWithTwoSnapshots()
    {
        OpenTestImage.Create(_path, 8 << 20);
        var image = new OpenTestImage(_path);
        image.Disk.Write(0, Filled(1, 10 * Cluster));
        Snapshots(image).CreateSnapshot("taken");
        image.Disk.Write(0, Filled(2, 5 * Cluster));
        Snapshots(image).CreateSnapshot("other");
        return image;
    }

    private static ISnapshotImage Snapshots(OpenTestImage image) => image.Image.GetCapability<ISnapshotImage>()!;

    private static byte ReadByte(IVirtualDisk disk, long offset)
    {
        byte[] one = new byte[1];
        disk.Read(offset, one);
        return one[0];
    }

    private static byte[] Numbered(int n)
    {
        byte[] bytes = new byte[4096];
        BitConverter.TryWriteBytes(bytes, n);
        return bytes;
    }

    private static int NumberAt(IVirtualDisk disk, long offset)
    {
        byte[] bytes = new byte[4];
        disk.Read(offset, bytes);
        return BitConverter.ToInt32(bytes);
    }

    private static byte[] Filled(byte value, int length) => [.. Enumerable.Repeat(value, length)];
}
