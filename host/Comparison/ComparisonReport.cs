namespace StoragePlugins.Host.Comparison;

/// <summary>The whole of a comparison, as written to JSON.</summary>
internal sealed record ComparisonReport
{
    /// <summary>Versions of sphost, the runtime and the references.</summary>
    public required IReadOnlyDictionary<string, string> Versions { get; init; }

    /// <summary>When it began.</summary>
    public required DateTimeOffset Started { get; init; }

    /// <summary>The machine.</summary>
    public required HostFacts Host { get; init; }

    /// <summary>What was asked for.</summary>
    public required ComparisonSettings Settings { get; init; }

    /// <summary>Rows left out, and what strategies had to say.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>One for each contender and workload.</summary>
    public required IReadOnlyList<ComparisonRow> Rows { get; init; }

    /// <summary>Rows of measurements, with ratios to <see cref="QemuContender.Baseline"/> under the same workload.</summary>
    public static IReadOnlyList<ComparisonRow> RowsOf(IReadOnlyList<Measurement> measurements) => [.. measurements.Select(measurement => ComparisonRow.Of(
        measurement, measurements.FirstOrDefault(other => other.Workload == measurement.Workload && other.Contender is { IsReference: true, Name: QemuContender.Baseline })))];
}

/// <summary>What was asked for.</summary>
/// <param name="Rounds">Timed rounds.</param>
/// <param name="Operations">Operations of a run.</param>
/// <param name="DiskBytes">Size of the disks.</param>
/// <param name="SlowFlushMicroseconds">What the simulated device adds to each flush; 0 without it.</param>
internal sealed record ComparisonSettings(int Rounds, int Operations, long DiskBytes, double SlowFlushMicroseconds);

/// <summary>A row. Figures are of operations: one write and one flush of the guest.</summary>
internal sealed record ComparisonRow
{
    /// <summary>The contender.</summary>
    public required string Pipeline { get; init; }

    /// <summary>What it is.</summary>
    public required string Description { get; init; }

    /// <summary>The workload.</summary>
    public required string Workload { get; init; }

    /// <summary>A peer, not one of our pipelines.</summary>
    public required bool IsReference { get; init; }

    /// <summary>Clients at once.</summary>
    public required int Connections { get; init; }

    /// <summary>Median of the rounds' medians.</summary>
    public required double MedianMicroseconds { get; init; }

    /// <summary>99th percentile over all rounds.</summary>
    public required double P99Microseconds { get; init; }

    /// <summary>Median of the rounds' rates, all clients together.</summary>
    public required double OperationsPerSecond { get; init; }

    /// <summary>Latency in terms of qemu-nbd's with default options, median of the rounds' ratios; null without it.</summary>
    public required double? RatioToQemu { get; init; }

    /// <summary>(largest − smallest) / median of the rounds' medians.</summary>
    public required double Spread { get; init; }

    /// <summary>Host flushes; null where nobody counted, as the next three.</summary>
    public required double? HostFlushesPerGuestFlush { get; init; }

    /// <summary>Barriers that did not wait.</summary>
    public required double? BarriersPerGuestFlush { get; init; }

    /// <summary>Bytes written to the host's storage, without preallocation.</summary>
    public required double? BytesWrittenPerOperation { get; init; }

    /// <summary>Zeros written ahead of use.</summary>
    public required double? PreallocatedBytesPerOperation { get; init; }

    /// <summary>The same four, with what opening and closing the disk costs.</summary>
    public required OperationCosts? OpenToClosePerOperation { get; init; }

    /// <summary>How the counts were taken.</summary>
    public required string CountedBy { get; init; }

    /// <summary>The timed rounds, in order.</summary>
    public required IReadOnlyList<RoundFigures> Rounds { get; init; }

    /// <summary>The row of a measurement.</summary>
    public static ComparisonRow Of(Measurement measurement, Measurement? baseline)
    {
        OperationCosts? costs = measurement.Costs(openToClose: false);
        return new ComparisonRow
        {
            Pipeline = measurement.Contender.Name,
            Description = measurement.Contender.Description,
            Workload = measurement.Workload.Name,
            IsReference = measurement.Contender.IsReference,
            Connections = measurement.Workload.Connections,
            MedianMicroseconds = measurement.MedianMicroseconds,
            P99Microseconds = measurement.P99Microseconds,
            OperationsPerSecond = measurement.OperationsPerSecond,
            RatioToQemu = baseline is null ? null : measurement.RatioTo(baseline),
            Spread = measurement.Spread,
            HostFlushesPerGuestFlush = costs?.HostFlushes,
            BarriersPerGuestFlush = costs?.Barriers,
            BytesWrittenPerOperation = costs?.WrittenBytes,
            PreallocatedBytesPerOperation = costs?.PreallocatedBytes,
            OpenToClosePerOperation = measurement.Costs(openToClose: true),
            CountedBy = measurement.Contender.CountedBy,
            Rounds = measurement.Rounds,
        };
    }
}
