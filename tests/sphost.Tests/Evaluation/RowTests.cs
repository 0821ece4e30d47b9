using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Tests.Evaluation;

/// <summary>From rounds to rows, and from rows to the papers' figures.</summary>
public sealed class RowTests
{
    private static readonly EvaluationWorkload s_workload = new DdWorkload(overwrites: false, syncsEachBlock: true);
    private static readonly EvaluatedContender s_qemu = new EvaluatedQemu(QemuKind.Default), s_lazy = new EvaluatedQemu(QemuKind.LazyRefcounts);

    [Fact]
    public void The_ratio_is_that_of_each_round_and_not_of_medians()
    {
        RowFigures baseline = Figures(s_qemu, (1, 1.0), (2, 10.0), (3, 1.0)), row = Figures(s_lazy, (1, 0.5), (2, 5.0), (3, 0.5));
        EvaluationRow made = row.ToRow(baseline);
        Assert.Equal((2.0, 2.0, 2.0), (made.SpeedUp!.Value, made.SpeedUpRange!.Smallest, made.SpeedUpRange.Largest));
        Assert.Equal(200, made.OperationsPerSecond);
        Assert.Equal(1.0, baseline.ToRow(baseline).SpeedUp);
        Assert.Null(row.ToRow(null).SpeedUp);
    }

    [Fact]
    public void A_round_that_one_rival_did_not_finish_counts_for_nobody()
    {
        RowFigures row = Figures(s_qemu, (1, 1.0), (2, 100.0));
        row.KeepRounds(new HashSet<int> { 1 });
        Assert.Equal([1.0], row.ToRow(null).Rounds.Select(round => round.Seconds));
    }

    [Fact]
    public void Amplification_is_of_guest_flushes_and_guest_bytes()
    {
        RowFigures row = Figures(s_qemu, (1, 1.0));
        row.AddCounts(new VolumeCounts(200, 1000, new StorageCounts(300, 100, 3000, 77)), 100);
        AmplificationFigures made = row.ToRow(null).Amplification!;
        Assert.Equal((2.0, 1.5, 0.5), (made.GuestFlushesPerOperation, made.HostFlushesPerGuestFlush, made.BarriersPerGuestFlush));
        Assert.Equal((3.0, 0.077), (made.HostBytesPerGuestByte, made.ZeroedBytesPerGuestByte));
    }

    [Fact]
    public void Buckets_of_a_histogram_grow_by_the_fourth_root_of_two_and_lose_nothing()
    {
        var samples = new LatencySamples();
        for (int i = 1; i <= 5000; i++) samples.Add(i, 1);
        LatencyFigures figures = samples.Figures()!;
        Assert.Equal((2500, 4500, 4950, 4995, 5000), (figures.P50, figures.P90, figures.P99, figures.P999, figures.Largest));
        Assert.Equal(5000, figures.Histogram.Sum(bucket => bucket.Operations));
        Assert.Equal(1024, LatencySamples.BucketEnd(1024));
        Assert.Equal(1217.748, LatencySamples.BucketEnd(1025));
        Assert.All(figures.Histogram.Zip(figures.Histogram.Skip(1)), pair => Assert.True(pair.First.UpToMicroseconds < pair.Second.UpToMicroseconds));
    }

    [Fact]
    public void Every_figure_of_both_papers_is_there_even_when_nothing_was_measured()
    {
        IReadOnlyList<PaperFigure> figures = PaperComparison.Of([]);
        Assert.Equal([81.1, 4.5, 4.7, -2.7, 9.2, 3.3, -3.6, 0.6, -0.5, 49.2, 131.5], figures.Select(figure => figure.PaperChangePercent));
        Assert.All(figures, figure => Assert.True(figure.OurChangePercent is null && figure.Why.Length == 0));
    }

    [Theory]
    // Nothing to order: an overwrite.
    [InlineData(1.0, 1.0, 0.0, "nothing to order")]
    // As many flushes, some of them in the background.
    [InlineData(2.0, 2.0, 1.0, "this kernel has no barrier")]
    public void Why_a_figure_differs_is_told_by_what_was_counted(double ordered, double barrier, double barriers, string words)
    {
        PaperFigure figure = PaperComparison.Of([Row("qcow2-ordered", 1.0, ordered, 0), Row("qcow2-barrier", 1.0, barrier, barriers)]).First(each => each.Workload == "GNU dd append");
        Assert.Equal(0, figure.OurChangePercent);
        Assert.Contains(words, figure.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void A_figure_that_agrees_within_the_spread_needs_no_reason()
    {
        PaperFigure figure = PaperComparison.Of([Row("qcow2-ordered", 1.0, 2, 0), Row("qcow2-barrier", 1 / 1.811, 1, 1)])[0];
        Assert.Equal(81.1, figure.OurChangePercent!.Value, 1);
        Assert.Equal("", figure.Why);
    }

    [Fact]
    public void Nobody_always_follows_the_same_neighbour()
    {
        EvaluatedContender[] rivals = [s_qemu, s_lazy, new EvaluatedQemu(QemuKind.RawSparse)];
        string[] orders = [.. Enumerable.Range(1, 4).Select(round => string.Join(",", EvaluationRun.InTurn(rivals, round, 0).Select(each => each.Name)))];
        Assert.Equal(4, orders.Distinct().Count());
        Assert.All(orders, order => Assert.Equal(3, order.Split(',').Distinct().Count()));
    }

    [Fact]
    public void The_time_left_is_what_is_left_at_the_speed_so_far()
    {
        Assert.Equal("1:30", EvaluationClock.Left(TimeSpan.FromSeconds(30), 0.25));
        var clock = new EvaluationClock(10, TimeSpan.FromMinutes(10));
        clock.BeginPart(5);
        Assert.True(clock.HasTimeFor(TimeSpan.FromMinutes(4.9)));
        Assert.False(clock.HasTimeFor(TimeSpan.FromMinutes(5.1)));
    }

    private static RowFigures Figures(EvaluatedContender contender, params (int Round, double Seconds)[] rounds)
    {
        var row = new RowFigures(new NoPlace(), DeviceRegime.AsIs, s_workload, contender);
        foreach ((int round, double seconds) in rounds) row.AddRound(round, new WorkloadResult(100, seconds, 6400, null));
        return row;
    }

    private static EvaluationRow Row(string contender, double seconds, double hostFlushes, double barriers) => new()
    {
        Place = EvaluationPlace.GuestFileSystem, Regime = DeviceRegime.AsIs, Workload = "dd-append-dsync", Contender = contender, Rounds = [new EvaluationRound(100, seconds, null), new EvaluationRound(100, seconds, null)],
        OperationsPerSecond = 100 / seconds, BytesPerSecond = null, Spread = 0, SpeedUp = null, SpeedUpRange = null, Latency = null,
        Amplification = new AmplificationFigures(2, hostFlushes, barriers, 1, 0, ""),
    };

    private sealed class NoPlace : Place
    {
        public override EvaluationPlace Kind => EvaluationPlace.GuestFileSystem;

        public override string Name => "none";

        public override string Description => "";

        public override IReadOnlyList<EvaluationWorkload> Workloads => [];

        public override IReadOnlyList<EvaluatedContender> Contenders => [];

        public override bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime) => true;

        public override string CountedBy(EvaluatedContender contender, DeviceRegime regime) => "the test";

        public override IVolume SetUp(EvaluatedContender contender, VolumeRequest request) => throw new NotSupportedException();

        public override void WarmUp(IVolume volume, CancellationToken cancel) => throw new NotSupportedException();
    }
}
