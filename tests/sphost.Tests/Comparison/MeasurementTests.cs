using System.Diagnostics;
using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Tests.Comparison;

public sealed class MeasurementTests
{
    private static readonly long s_tick = Stopwatch.Frequency / 1_000_000; // of a µs

    [Theory]
    [InlineData(new double[] { 3 }, 3)]
    [InlineData(new double[] { 4, 1 }, 2.5)]
    [InlineData(new double[] { 9, 1, 5 }, 5)]
    public void The_median_is_the_middle_or_between_the_two_middle_ones(double[] values, double expected) => Assert.Equal(expected, Quantiles.Median(values));

    [Fact]
    public void A_percentile_is_the_nearest_rank()
    {
        long[] sorted = [.. Enumerable.Range(1, 100).Select(i => (long)i)];
        Assert.Equal(99, Quantiles.Percentile(sorted, 0.99));
        Assert.Equal(50, Quantiles.Percentile(sorted, 0.5));
        Assert.Equal(100, Quantiles.Percentile(sorted, 1));
        Assert.Equal(7, Quantiles.Percentile([7], 0.99));
    }

    [Fact]
    public void The_median_is_that_of_the_rounds_and_p99_that_of_all_operations()
    {
        var measurement = Of([100, 100, 100], [200, 200, 200], [300, 300, 9000]);
        Assert.Equal(200, measurement.MedianMicroseconds, 3);
        Assert.Equal(9000, measurement.P99Microseconds, 3);
        Assert.Equal((300 - 100) / 200.0, measurement.Spread, 3);
    }

    [Fact]
    public void The_ratio_is_taken_round_by_round_so_that_a_slow_moment_of_the_machine_cancels_out()
    {
        // Rounds in which all were ten times slower.
        Measurement own = Of([50], [500], [50], [500]), other = Of([100], [1000], [100], [1000]);
        Assert.Equal(0.5, own.RatioTo(other), 6);
    }

    [Fact]
    public void Without_counts_there_are_no_costs_rather_than_zeros()
    {
        Assert.Null(Of([100]).Costs(openToClose: false));
        Assert.Null(ComparisonRow.Of(Of([100]), null).HostFlushesPerGuestFlush);
    }

    private static Measurement Of(params int[][] rounds)
    {
        var measurement = new Measurement(new Named(), Workload.All[0]);
        foreach (int[] round in rounds) measurement.AddRound(new RunResult([.. round.Select(time => time * s_tick)], round.Sum() * s_tick, null, null));
        return measurement;
    }

    private sealed class Named : Contender
    {
        public override string Name => "a";

        public override string Description => "";

        public override string CountedBy => "nobody";

        public override bool IsReference => false;

        public override bool CountsWhileTimed => true;

        public override string? Lacks(Workload workload) => null;

        public override void Prepare(Workload workload, PreparedRun run) => throw new NotSupportedException();

        public override IMeasuredDisk Open(PreparedRun run) => throw new NotSupportedException();
    }
}
