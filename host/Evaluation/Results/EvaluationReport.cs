using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Evaluation.Results;

/// <summary>One run of <c>sphost evaluate</c>: what <c>--json</c> writes, what the HTML report embeds, and what both are drawn from.</summary>
internal sealed record EvaluationReport
{
    /// <summary>Of this record's form: raised when a reader of an earlier one would misread it.</summary>
    public int FormatVersion { get; init; } = 1;

    /// <summary>When it began, UTC.</summary>
    public required DateTime Started { get; init; }

    /// <summary>Seconds that it took.</summary>
    public required double TookSeconds { get; init; }

    /// <summary>The command that repeats it.</summary>
    public required string Command { get; init; }

    /// <summary>quick, standard or paper.</summary>
    public required string Scale { get; init; }

    /// <summary>Timed rounds.</summary>
    public required int Rounds { get; init; }

    /// <summary>What the simulated device of <see cref="DeviceRegime.SlowFlush"/> adds to each flush, in µs.</summary>
    public required double SlowFlushMicroseconds { get; init; }

    /// <summary>Whether it was ended before its time; the rows are those of the rounds that were whole.</summary>
    public required bool IsInterrupted { get; init; }

    /// <summary>The machine, and what a flush costs on it.</summary>
    public required HostFacts Host { get; init; }

    /// <summary>Programs by name: sphost, .NET, qemu-storage-daemon, dd, fio, SQLite, ….</summary>
    public required IReadOnlyDictionary<string, string> Versions { get; init; }

    /// <summary>Who was measured, in the order of the tables.</summary>
    public required IReadOnlyList<ContenderFacts> Contenders { get; init; }

    /// <summary>What was run, in the order of the tables.</summary>
    public required IReadOnlyList<WorkloadFacts> Workloads { get; init; }

    /// <summary>The figures: at most one row for each place, regime, workload and contender.</summary>
    public required IReadOnlyList<EvaluationRow> Rows { get; init; }

    /// <summary>Each figure of the papers beside ours.</summary>
    public required IReadOnlyList<PaperFigure> Papers { get; init; }

    /// <summary>What was left out and why, warnings of strategies, how counts were taken.</summary>
    public required IReadOnlyList<string> Notes { get; init; }
}

/// <summary>Somebody who was measured.</summary>
/// <param name="Name">As in the rows.</param>
/// <param name="Description">One sentence.</param>
/// <param name="IsReference">A peer (QEMU, ext4 on a RAM disk), not one of our pipelines.</param>
/// <param name="IsDefault">The pipeline that a user gets who names none: what a summary speaks of.</param>
internal sealed record ContenderFacts(string Name, string Description, bool IsReference, bool IsDefault = false);

/// <summary>Something that was run.</summary>
/// <param name="Name">As in the rows.</param>
/// <param name="Title">For headings.</param>
/// <param name="Definition">What it does here, with its parameters, and whose definition that is.</param>
/// <param name="Operation">What one operation is, such as "64 KiB write, durable on return".</param>
internal sealed record WorkloadFacts(string Name, string Title, string Definition, string Operation);

/// <summary>Where a workload ran.</summary>
internal enum EvaluationPlace
{
    /// <summary>On the block device: NBD.</summary>
    BlockDevice = 0,

    /// <summary>In ext4 on a loop device on a FUSE export of the disk.</summary>
    GuestFileSystem,

    /// <summary>In a virtual machine whose disk it is.</summary>
    VirtualMachine,

    /// <summary>In a file system in (emulated) persistent memory: the second paper.</summary>
    MemoryFileSystem,
}

/// <summary>What a flush of the host's device costs.</summary>
internal enum DeviceRegime
{
    /// <summary>As the device is.</summary>
    AsIs = 0,

    /// <summary>With a simulated delay on each flush.</summary>
    SlowFlush,
}

/// <summary>What one contender reached under one workload in one place.</summary>
internal sealed record EvaluationRow
{
    /// <summary>Where.</summary>
    public required EvaluationPlace Place { get; init; }

    /// <summary>On which device.</summary>
    public required DeviceRegime Regime { get; init; }

    /// <summary>Name of the workload.</summary>
    public required string Workload { get; init; }

    /// <summary>Name of the contender.</summary>
    public required string Contender { get; init; }

    /// <summary>The timed rounds, in order.</summary>
    public required IReadOnlyList<EvaluationRound> Rounds { get; init; }

    /// <summary>Median of the rounds' rates.</summary>
    public required double OperationsPerSecond { get; init; }

    /// <summary>Median of the rounds' bytes of payload a second; null where operations have no payload.</summary>
    public required double? BytesPerSecond { get; init; }

    /// <summary>(largest − smallest) / median of the rounds' rates.</summary>
    public required double Spread { get; init; }

    /// <summary>Throughput in terms of the reference's in the same place and regime: the median of the rounds' ratios; above 1 is faster. Null without it, and for it 1.</summary>
    public required double? SpeedUp { get; init; }

    /// <summary>Smallest and largest of the rounds' ratios; null without a reference.</summary>
    public required Interval? SpeedUpRange { get; init; }

    /// <summary>Latency of the operations of all rounds together; null where only the whole can be timed.</summary>
    public required LatencyFigures? Latency { get; init; }

    /// <summary>What it cost the host's storage; null where nobody counts.</summary>
    public required AmplificationFigures? Amplification { get; init; }
}

/// <summary>Two ends.</summary>
/// <param name="Smallest">The one.</param>
/// <param name="Largest">The other.</param>
internal sealed record Interval(double Smallest, double Largest);

/// <summary>One round.</summary>
/// <param name="Operations">Done.</param>
/// <param name="Seconds">For all of them.</param>
/// <param name="Bytes">Of payload; null where there is none.</param>
internal sealed record EvaluationRound(long Operations, double Seconds, long? Bytes)
{
    /// <summary>The round's rate.</summary>
    public double OperationsPerSecond => Operations / Seconds;
}

/// <summary>Latency of operations, in µs.</summary>
/// <param name="P50">Median.</param>
/// <param name="P90">90th percentile.</param>
/// <param name="P99">99th percentile.</param>
/// <param name="P999">99.9th percentile; the largest where there are fewer than a thousand.</param>
/// <param name="Largest">Of all.</param>
/// <param name="Histogram">Operations by latency: buckets whose upper ends grow by a factor of 2^(1/4); empty ones left out.</param>
internal sealed record LatencyFigures(double P50, double P90, double P99, double P999, double Largest, IReadOnlyList<LatencyBucket> Histogram);

/// <summary>A bucket of a histogram.</summary>
/// <param name="UpToMicroseconds">Its upper end.</param>
/// <param name="Operations">In it.</param>
internal sealed record LatencyBucket(double UpToMicroseconds, long Operations);

/// <summary>What operations cost the host's storage.</summary>
/// <param name="GuestFlushesPerOperation">Flushes that reached the disk from the guest.</param>
/// <param name="HostFlushesPerGuestFlush">Flushes of the host's file for each of them: the papers' amplification.</param>
/// <param name="BarriersPerGuestFlush">Barriers that did not wait.</param>
/// <param name="HostBytesPerGuestByte">Bytes written to the host's file for each byte that the guest wrote, without preallocation.</param>
/// <param name="ZeroedBytesPerGuestByte">Zeros written ahead of use for each of them: preallocation.</param>
/// <param name="CountedBy">How.</param>
internal sealed record AmplificationFigures(double GuestFlushesPerOperation, double? HostFlushesPerGuestFlush, double? BarriersPerGuestFlush, double? HostBytesPerGuestByte, double? ZeroedBytesPerGuestByte, string CountedBy);

/// <summary>A figure of a paper beside ours.</summary>
/// <param name="Paper">Short title.</param>
/// <param name="Workload">The paper's name for it.</param>
/// <param name="Claim">What is compared with what, such as "QEMU(Barrier) against QEMU, throughput".</param>
/// <param name="PaperChangePercent">The paper's figure, + is faster.</param>
/// <param name="Ours">Ours: contender, baseline, place and regime in words.</param>
/// <param name="OurChangePercent">Ours; null when it was not measured in this run.</param>
/// <param name="OurRange">Its range over the rounds, percent.</param>
/// <param name="Why">A sentence where they differ; empty where they agree within the spread.</param>
internal sealed record PaperFigure(string Paper, string Workload, string Claim, double PaperChangePercent, string Ours, double? OurChangePercent, Interval? OurRange, string Why);
