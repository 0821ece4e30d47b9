using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Tests.Comparison;

public sealed class WorkloadTests
{
    private const int Operations = 500;
    private const long Disk = 20L << 30;

    private static Workload Named(string name) => Workload.All.Single(workload => workload.Name == name);

    [Fact]
    public void Random64k_goes_to_as_many_clusters_as_it_has_operations_and_touches_every_L2_table()
    {
        long[] offsets = Assert.Single(Named("random64k").Offsets(Operations, Disk, seed: 1));
        Assert.Equal(Operations, offsets.Distinct().Count());
        Assert.All(offsets, offset => Assert.True(offset % Workload.BlockBytes == 0 && offset <= Disk - Workload.BlockBytes));
        Assert.Equal(40, offsets.Select(offset => offset / Workload.TableBytes).Distinct().Count());
    }

    [Fact]
    public void Random4k_stays_in_the_area_that_was_written_before()
    {
        Workload workload = Named("random4k-sync");
        long[] offsets = Assert.Single(workload.Offsets(Operations, Disk, seed: 1));
        Assert.True(workload.IsWritten);
        Assert.All(offsets, offset => Assert.True(offset % 4096 == 0 && offset <= Workload.AreaBytes(Operations) - 4096));
        Assert.True(offsets.Distinct().Count() > Operations * 9 / 10);
    }

    [Fact]
    public void Sixteen_writers_do_not_meet()
    {
        long[][] offsets = Named("writers16").Offsets(Operations, Disk, seed: 1);
        Assert.Equal(16, offsets.Length);
        long share = Workload.AreaBytes(Operations) / 16;
        for (int writer = 0; writer < 16; writer++)
        {
            Assert.Equal(125, offsets[writer].Length);
            Assert.All(offsets[writer], offset => Assert.InRange(offset, writer * share, ((writer + 1) * share) - 4096));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_smallest_run_has_offsets_too_and_the_same_seed_gives_the_same(string name)
    {
        Workload workload = Named(name);
        long[][] offsets = workload.Offsets(1, Workload.TableBytes, seed: 3);
        Assert.Equal(workload.Connections, offsets.Length);
        Assert.All(offsets, each => Assert.NotEmpty(each));
        Assert.Equal(offsets, workload.Offsets(1, Workload.TableBytes, seed: 3));
    }

    public static TheoryData<string> Names() => [.. Workload.All.Select(workload => workload.Name)];
}
