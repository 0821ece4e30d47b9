namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>A commit that fails half-way has changed some of its homes and not others; what is committed next must not rely on either.</summary>
public sealed class FailedCommitTests : ScratchFolder
{
    private const int Cluster = 4096;

    [Fact]
    public void Cluster_reused_after_a_failed_commit_keeps_its_refcount()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 4 << 20, new Qcow2Options { ClusterSize = Cluster });
        var image = new OpenTestImage(path);
        IDiscardDisk discard = image.Disk.GetCapability<IDiscardDisk>()!;
        image.Disk.Write(0, Filled(1, 2 * Cluster));
        image.Disk.Flush();
        discard.Discard(0, Cluster);
        image.Disk.Flush();
        discard.Discard(Cluster, Cluster);
        // The decrement of the first cluster goes home, then the map cannot be written.
        FailOnce(image, ContentClass.Map);
        Assert.Throws<StorageException>(image.Disk.Flush);

        image.Disk.Write(8 * Cluster, Filled(2, Cluster));
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        Qemu.Io(path, $"read -P 2 {8 * Cluster} {Cluster}");
    }

    [Fact]
    public void Space_freed_after_a_failed_commit_is_not_leaked_by_a_clean_close()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 4 << 20, new Qcow2Options { ClusterSize = Cluster });
        var image = new OpenTestImage(path);
        image.Disk.Write(0, Filled(1, 2 * Cluster));
        image.Disk.Flush();
        image.Disk.Write(4 * Cluster, Filled(1, Cluster));
        FailOnce(image, ContentClass.Map);
        Assert.Throws<StorageException>(image.Disk.Flush);

        image.Disk.GetCapability<IDiscardDisk>()!.Discard(0, Cluster);
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
    }

    [Fact]
    public void Cluster_freed_after_the_commit_that_allocated_it_failed_is_not_leaked()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 4 << 20, new Qcow2Options { ClusterSize = Cluster });
        var image = new OpenTestImage(path);
        image.Disk.Write(0, Filled(1, Cluster));
        image.Disk.Flush();
        image.Disk.Write(4 * Cluster, Filled(1, Cluster));
        FailOnce(image, ContentClass.Map);
        Assert.Throws<StorageException>(image.Disk.Flush);

        image.Disk.GetCapability<IDiscardDisk>()!.Discard(4 * Cluster, Cluster);
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
    }

    [Fact]
    public void Table_that_a_failed_commit_may_have_linked_is_written_after_the_refcounts_of_what_it_maps()
    {
        string path = PathOf("a.qcow2");
        OpenTestImage.Create(path, 8 << 20, new Qcow2Options { ClusterSize = Cluster });
        using var image = new OpenTestImage(path);
        image.Disk.Write(0, Filled(1, Cluster));
        image.Disk.Write(2 << 20, Filled(1, Cluster));
        // The first table's L1 entry goes home, the second one's does not.
        FailOnce(image, ContentClass.MapRoot, after: 1);
        Assert.Throws<StorageException>(image.Disk.Flush);

        image.Disk.Write(5 * Cluster, Filled(2, Cluster));
        int allocation = -1;
        int map = int.MaxValue;
        image.Medium.BeforeWrite = (_, _, content) =>
        {
            if (content == ContentClass.Allocation) allocation = Math.Max(allocation, image.Medium.Syncs);
            if (content == ContentClass.Map) map = Math.Min(map, image.Medium.Syncs);
        };
        image.Disk.Flush();
        Assert.True(allocation >= 0 && map != int.MaxValue);
        Assert.True(allocation < map, "no barrier stands between a refcount and the L2 entry that needs it");
    }

    [Fact]
    public void Growth_of_the_refcount_table_that_found_no_space_is_tried_again()
    {
        int failures = 0;
        for (int failAt = 0; failAt < 6; failAt++)
        {
            string path = PathOf($"grow-{failAt}.qcow2");
            OpenTestImage.Create(path, 8 << 20, new Qcow2Options { ClusterSize = 512, RefcountBits = 64 });
            var image = new OpenTestImage(path);
            int seen = 0;
            bool failed = false;
            image.Medium.BeforeWrite = (offset, length, content) =>
            {
                // Only the table that grows is longer than a cluster.
                bool table = content == ContentClass.AllocationRoot && length > 512;
                if (!table || seen++ != failAt) return;
                failed = true;
                failures++;
                throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
            };
            for (int at = 0; at < 6 << 20; at += 64 << 10)
            {
                failed = false;
                try
                {
                    image.Disk.Write(at, Filled(3, 64 << 10));
                }
                catch (StorageException e) when (failed)
                {
                    Assert.Equal(StorageError.NoSpace, e.Error);
                    image.Disk.Write(at, Filled(3, 64 << 10));
                }
            }

            // Free space is looked for from the start again, past what the failed attempt had begun.
            image.Disk.GetCapability<IDiscardDisk>()!.Discard(0, 64 << 10);
            image.Disk.Flush();
            image.Disk.Flush();
            image.Disk.Write(6 << 20, Filled(4, 256 << 10));
            image.Close();
            Qemu.Img("check", "-f", "qcow2", path);
            Qemu.Io(path, "read -P 0 0 64k", $"read -P 3 64k {(6 << 20) - (64 << 10)}", "read -P 4 6M 256k");
        }

        Assert.True(failures > 0);
    }

    [Fact]
    public void Refcount_that_cannot_be_read_leaves_no_mapping_of_a_free_cluster()
    {
        string path = PathOf("a.qcow2");
        const int blockBytes = 2048 * Cluster;
        OpenTestImage.Create(path, 10L * blockBytes, new Qcow2Options { ClusterSize = Cluster });
        var filling = new OpenTestImage(path);
        for (int i = 0; i < 8; i++) filling.Disk.Write(i * (long)blockBytes, Filled(1, blockBytes));
        filling.Close();
        long firstBlock = FirstRefcountBlock(path);

        var image = new OpenTestImage(path, options: new Qcow2Options { RefcountCache = 0 });
        IDiscardDisk discard = image.Disk.GetCapability<IDiscardDisk>()!;
        discard.Discard(0, Cluster);
        image.Disk.Flush();
        image.Disk.Flush();
        bool armed = true;
        image.Medium.BeforeWrite = (_, _, content) =>
        {
            if (content != ContentClass.GuestData || !armed) return;
            armed = false;
            // While the data is written, others use the cache of refcounts, and the device begins to fail.
            for (int i = 1; i < 8; i++) discard.Discard((i * (long)blockBytes) + (64 * Cluster), Cluster);
            image.Disk.Flush();
            image.Disk.Flush();
            image.Medium.BeforeRead = (offset, length) =>
            {
                if (offset == firstBlock) throw new StorageException(StorageError.Io, "read", "test", offset, length, "Input/output error");
            };
        };
        Assert.Throws<StorageException>(() => image.Disk.Write(0, Filled(2, Cluster)));
        image.Medium.BeforeRead = null;
        image.Disk.Write(blockBytes + (64 * Cluster), Filled(3, Cluster));

        byte[] read = new byte[Cluster];
        image.Disk.Read(0, read);
        Assert.NotEqual(3, read[0]);
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
    }

    private static void FailOnce(OpenTestImage image, ContentClass failing, int after = 0)
    {
        image.Medium.BeforeWrite = (offset, length, content) =>
        {
            if (content != failing || after-- > 0) return;
            image.Medium.BeforeWrite = null;
            throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
        };
    }

    private static long FirstRefcountBlock(string path)
    {
        using var medium = new TestFileMedium(path, readOnly: true);
        byte[] entry = new byte[8];
        medium.Read(Header.Qcow2Header.Read(medium).RefcountTableOffset, entry);
        return System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(entry);
    }

    private static byte[] Filled(byte value, int length) => [.. Enumerable.Repeat(value, length)];
}
