using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Resizing and closing: alone with the disk, and whole whatever fails on the way.</summary>
public sealed class ControlOperationTests : ScratchFolder
{
    private const int Cluster = 64 << 10;

    [Fact]
    public void Two_control_operations_never_have_the_disk_at_once()
    {
        var epochs = new RequestEpochs();
        RequestEpochs.Quiesced first = epochs.Quiesce();
        var second = new Thread(() => epochs.Quiesce().Dispose());
        second.Start();
        Assert.False(second.Join(200), "the disk was given to two at once");
        first.Dispose();
        Assert.True(second.Join(TimeSpan.FromSeconds(10)));
        epochs.Enter().Dispose();
    }

    [Fact]
    public void What_a_shrink_cut_off_stays_gone_though_the_power_went_before_it_was_freed()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 64 * Cluster);
        using (var image = new OpenTestImage(path))
        {
            image.Disk.Write(0, Filled(7, 64 * Cluster));
            image.Disk.Flush();
            bool sizeWritten = false;
            image.Medium.BeforeWrite = (offset, length, content) =>
            {
                if (sizeWritten) throw new StorageException(StorageError.Io, "write", "test", offset, length, "no power");
                sizeWritten = content == ContentClass.Header;
            };
            Assert.Throws<StorageException>(() => image.Disk.GetCapability<IResizableDisk>()!.Resize(8 * Cluster));
            Assert.True(sizeWritten);
        }

        var again = new OpenTestImage(path);
        Assert.Equal(8 * Cluster, again.Disk.Length);
        again.Disk.GetCapability<IResizableDisk>()!.Resize(64 * Cluster);
        again.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        Qemu.Io(path, $"read -P 7 0 {8 * Cluster}", $"read -P 0 {8 * Cluster} {56 * Cluster}");
    }

    [Fact]
    public void Image_on_a_device_that_cannot_be_cut_is_closed()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 64 * Cluster);
        var before = new OpenTestImage(path);
        before.Disk.Write(0, Filled(1, Cluster));
        before.Close();
        var image = new OpenTestImage(path, journal: TestJournal.Atomic(regionBytes: 1 << 20));
        image.Medium.BeforeSetLength = length => throw new StorageException(StorageError.NotSupported, "ftruncate", "test", length, 0, "Invalid argument");
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        Qemu.Io(path, $"read -P 1 0 {Cluster}");
    }

    [Fact]
    public void Closed_image_takes_no_more_writes()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 64 * Cluster);
        using var image = new OpenTestImage(path);
        image.Disk.Write(0, Filled(1, Cluster));
        image.Image.Close();
        IVirtualDisk disk = image.Disk;
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => disk.Write(0, Filled(2, Cluster))).Error);
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => disk.GetCapability<IDiscardDisk>()!.Discard(0, Cluster)).Error);
        Assert.Equal(StorageError.ShuttingDown, Assert.Throws<StorageException>(() => disk.GetCapability<IResizableDisk>()!.Resize(Cluster)).Error);
        int syncs = image.Medium.Syncs;
        disk.Flush();
        Assert.Equal(syncs, image.Medium.Syncs);
    }

    [Fact]
    public void Map_grows_past_a_journal_region_behind_the_counted_clusters()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 1 << 20, new Qcow2Options { ClusterSize = 4096, RefcountBits = 64 });
        var before = new OpenTestImage(path);
        before.Disk.Write(0, Filled(3, 64 * 4096));
        before.Disk.GetCapability<IDiscardDisk>()!.Discard(0, 32 * 4096);
        before.Close();

        // The region is behind everything; what the growth needs first finds room before it.
        var image = new OpenTestImage(path, journal: TestJournal.Atomic(regionBytes: 16 << 20));
        image.Disk.Write(0, Filled(1, 4096));
        // An L1 table of more clusters than one refcount block counts.
        image.Disk.GetCapability<IResizableDisk>()!.Resize(600L << 30);
        image.Disk.Write(599L << 30, Filled(2, 4096));
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        Qemu.Io(path, "read -P 1 0 4096", "read -P 2 599G 4096");
    }

    private static byte[] Filled(byte value, int length) => [.. Enumerable.Repeat(value, length)];
}
