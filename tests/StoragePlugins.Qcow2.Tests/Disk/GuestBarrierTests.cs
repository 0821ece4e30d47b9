using StoragePlugins.InternalJournal;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>What a guest's barrier costs. That it keeps its promise is the crash kit's to judge.</summary>
public sealed class GuestBarrierTests : ScratchFolder
{
    private const int Cluster = 64 << 10;
    private static readonly byte[] s_data = [.. Enumerable.Repeat((byte)7, Cluster)];

    [Fact]
    public void Barriers_between_appends_cost_nothing_until_the_flush_where_commits_are_atomic()
    {
        using OpenTestImage image = Fresh(TestJournal.Internal);
        int before = image.Medium.Syncs;
        for (int i = 0; i < 64; i++)
        {
            image.Disk.Write((long)i * Cluster, s_data);
            Barrier(image);
        }

        Assert.Equal(0, image.Medium.Syncs - before);
        image.Disk.Flush();
        // The data before its record, then the flush.
        Assert.Equal(2, image.Medium.Syncs - before);
    }

    [Fact]
    public void A_barrier_between_few_appends_adds_nothing_to_the_flush()
    {
        // A log of which a 16th holds two clusters.
        using OpenTestImage image = Fresh(TestJournal.Internal with { Options = new InternalJournalOptions { RegionSize = 4 << 20 } });
        int before = image.Medium.Syncs;
        image.Disk.Write(0, s_data.AsSpan(0, 8192));
        Barrier(image);
        image.Disk.Write(Cluster, s_data.AsSpan(0, 8192));
        image.Disk.Flush();
        // What is little enough is copied into the record.
        Assert.Equal(1, image.Medium.Syncs - before);
    }

    [Fact]
    public void A_write_in_place_pays_for_the_barrier_before_it_and_makes_the_next_one_cost_one()
    {
        using OpenTestImage image = Fresh(TestJournal.Internal);
        image.Disk.Write(0, s_data);
        image.Disk.Flush();
        int before = image.Medium.Syncs;
        image.Disk.Write(Cluster, s_data);
        Barrier(image);
        Assert.Equal(0, image.Medium.Syncs - before);
        image.Disk.Write(0, s_data);
        int paid = image.Medium.Syncs - before;
        Assert.InRange(paid, 1, 2);
        Barrier(image);
        Assert.Equal(paid + 1, image.Medium.Syncs - before);
        // Nothing is owed any more: new clusters are free again.
        image.Disk.Write(2 * Cluster, s_data);
        Barrier(image);
        Assert.Equal(paid + 1, image.Medium.Syncs - before);
    }

    [Fact]
    public void A_write_that_cannot_wait_is_declined_while_a_barrier_is_owed()
    {
        using OpenTestImage image = Fresh(TestJournal.Internal);
        var disk = (INonBlockingDisk)image.Disk;
        image.Disk.Write(0, s_data);
        image.Disk.Flush();
        Assert.True(disk.TryWrite(0, s_data));
        image.Disk.Flush();
        image.Disk.Write(Cluster, s_data);
        Barrier(image);
        Assert.False(disk.TryWrite(0, s_data));
        image.Disk.Write(0, s_data);
        Assert.True(disk.TryWrite(0, s_data));
    }

    [Fact]
    public void Without_atomic_commits_every_barrier_is_a_commit()
    {
        using OpenTestImage image = Fresh(TestJournal.Ordered);
        for (int i = 0; i < 8; i++)
        {
            int before = image.Medium.Syncs;
            image.Disk.Write((long)i * Cluster, s_data);
            Barrier(image);
            Assert.Equal(2, image.Medium.Syncs - before);
        }
    }

    [Fact]
    public void Nothing_is_mapped_ahead_of_a_guest_that_orders_by_barriers()
    {
        using OpenTestImage image = Fresh(TestJournal.Internal);
        Barrier(image);
        Barrier(image);
        for (int i = 0; i < 32; i++)
        {
            image.Disk.Write((long)i * Cluster, s_data);
            Barrier(image);
            Thread.Sleep(1);
        }

        Assert.InRange(image.Medium.Length, 32L * Cluster, (32L + 40) * Cluster);
        image.Disk.Flush();
    }

    [Fact]
    public void Barriers_flushes_and_writes_of_many_threads_lose_nothing()
    {
        string path = PathOf("many.qcow2");
        OpenTestImage.Create(path, 1L << 30);
        var image = new OpenTestImage(path, journal: TestJournal.TinyInternal);
        Parallel.For(0, 6, thread =>
        {
            byte[] data = new byte[Cluster];
            for (int i = 0; i < 60; i++)
            {
                long cluster = thread + (6L * (i % 40));
                data.AsSpan().Fill((byte)(cluster + 1));
                image.Disk.Write(cluster * Cluster, data);
                if (i % 16 == 15) image.Disk.Flush();
                else Barrier(image);
            }
        });
        image.Close();
        Qemu.Img("check", "-f", "qcow2", path);
        for (int cluster = 0; cluster < 240; cluster += 17) Qemu.Io(path, $"read -P {(cluster + 1) & 255} {(long)cluster * Cluster} {Cluster}");
    }

    private static void Barrier(OpenTestImage image) => image.Disk.GetCapability<IBarrierDisk>()!.Barrier();

    private OpenTestImage Fresh(TestJournal journal)
    {
        string path = PathOf($"{journal.Id}.qcow2");
        OpenTestImage.Create(path, 1L << 30);
        return new OpenTestImage(path, journal: journal);
    }
}
