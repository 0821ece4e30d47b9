using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Tests.Comparison;

public sealed class ComparisonTableTests
{
    private static readonly ComparisonRow[] s_rows =
    [
        new()
        {
            Pipeline = "qemu-nbd-raw-preallocated", Description = "", Workload = "append64k", IsReference = true, Connections = 1, MedianMicroseconds = 1234567, P99Microseconds = 1, OperationsPerSecond = 1,
            RatioToQemu = 1, Spread = 0, HostFlushesPerGuestFlush = 2.006, BarriersPerGuestFlush = 0, BytesWrittenPerOperation = 65536, PreallocatedBytesPerOperation = 0,
            OpenToClosePerOperation = new OperationCosts(1, 0, 0, 0), CountedBy = "", Rounds = [],
        },
    ];

    [Fact]
    public void A_line_of_80_characters_has_room_for_latency_ratio_flushes_barriers_and_bytes()
    {
        TableColumn<ComparisonRow>[] columns = ComparisonTable.Fitting(s_rows, 80);
        Assert.Equal(["MEDIAN µs", "× QEMU", "FLUSHES", "BARRIERS", "KiB", "ZEROED"], columns.Select(column => column.Heading));
        Assert.True("qemu-nbd-raw-preallocated".Length + 2 + columns.Sum(column => column.WidthOf(s_rows) + 2) <= 80);
    }

    [Fact]
    public void All_columns_are_there_where_there_is_room_and_the_least_ones_always()
    {
        Assert.Equal(10, ComparisonTable.Fitting(s_rows, int.MaxValue).Length);
        Assert.Equal(["MEDIAN µs", "× QEMU", "FLUSHES", "BARRIERS", "KiB"], ComparisonTable.Fitting(s_rows, 1).Select(column => column.Heading));
    }
}
