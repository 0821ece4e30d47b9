namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>What a guest flush costs in barriers and flushes. QEMU 7.2 measured: 2 per allocating flush, 5 with a new L2 table, 3 after a snapshot.</summary>
public sealed class SyncCostTests : ScratchFolder
{
    private const int Cluster = 64 << 10;
    private const long PerL2 = 512L << 20;

    [Fact]
    public void Append_to_fresh_clusters_costs_two_syncs_and_a_new_table_none_on_top()
    {
        using OpenTestImage image = Fresh("append.qcow2", 20L << 30);
        Assert.Equal(2, SyncsOf(image, 0));
        for (int i = 1; i < 50; i++) Assert.Equal(2, SyncsOf(image, i * (long)Cluster));
    }

    [Fact]
    public void Random_allocation_over_many_tables_costs_two_syncs_each()
    {
        using OpenTestImage image = Fresh("random.qcow2", 20L << 30);
        for (int i = 0; i < 40; i++) Assert.Equal(2, SyncsOf(image, i * PerL2));
    }

    [Fact]
    public void Overwrite_costs_one_sync()
    {
        using OpenTestImage image = Fresh("overwrite.qcow2", 1L << 30);
        SyncsOf(image, 0);
        for (int i = 0; i < 10; i++) Assert.Equal(1, SyncsOf(image, 0));
    }

    [Fact]
    public void Overwrite_of_snapshot_shared_clusters_costs_two_syncs()
    {
        string path = PathOf("snapshot.qcow2");
        OpenTestImage image = Fresh("snapshot.qcow2", 1L << 30);
        for (int i = 0; i < 20; i++) image.Disk.Write(i * (long)Cluster, new byte[Cluster]);
        image.Close();
        Qemu.Img("snapshot", "-c", "s", path);

        image = new OpenTestImage(path);
        for (int i = 0; i < 20; i++) Assert.Equal(2, SyncsOf(image, i * (long)Cluster));
        image.Close();
        Qemu.Img("check", path);
    }

    [Fact]
    public void Flush_with_nothing_new_adds_no_barrier()
    {
        using OpenTestImage image = Fresh("idle.qcow2", 1L << 30);
        SyncsOf(image, 0);
        int before = image.Medium.Barriers;
        image.Disk.Flush();
        Assert.Equal(before, image.Medium.Barriers);
    }

    private OpenTestImage Fresh(string name, long size)
    {
        OpenTestImage.Create(PathOf(name), size);
        return new OpenTestImage(PathOf(name));
    }

    private static int SyncsOf(OpenTestImage image, long offset)
    {
        int before = image.Medium.Syncs;
        image.Disk.Write(offset, new byte[Cluster]);
        image.Disk.Flush();
        return image.Medium.Syncs - before;
    }
}
