using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation;

/// <summary>Everything measured of one contender under one workload in one place and regime.</summary>
internal sealed class RowFigures(Place place, DeviceRegime regime, EvaluationWorkload workload, EvaluatedContender contender)
{
    private readonly SortedDictionary<int, WorkloadResult> _rounds = [];
    private VolumeCounts? _counts;
    private long _countedOperations;

    /// <summary>Where.</summary>
    public Place Place => place;

    /// <summary>On which device.</summary>
    public DeviceRegime Regime => regime;

    /// <summary>What.</summary>
    public EvaluationWorkload Workload => workload;

    /// <summary>Who.</summary>
    public EvaluatedContender Contender => contender;

    /// <summary>The rounds that it has.</summary>
    public IEnumerable<int> Rounds => _rounds.Keys;

    /// <summary>Adds a timed round.</summary>
    public void AddRound(int round, WorkloadResult result) => _rounds.Add(round, result);

    /// <summary>Leaves out rounds that not all rivals have.</summary>
    public void KeepRounds(IReadOnlySet<int> whole)
    {
        foreach (int round in _rounds.Keys.Where(round => !whole.Contains(round)).ToArray()) _rounds.Remove(round);
    }

    /// <summary>Adds what a run cost the host.</summary>
    public void AddCounts(VolumeCounts? counts, long operations)
    {
        if (counts is null) return;
        _counts = _counts is { } before ? before + counts.Value : counts;
        _countedOperations += operations;
    }

    /// <summary>The row.</summary>
    /// <param name="baseline">Of the same workload, place and regime; null where it was not measured.</param>
    public EvaluationRow ToRow(RowFigures? baseline)
    {
        double[] rates = [.. _rounds.Values.Select(Rate)];
        double[] ratios = baseline is null ? [] : [.. _rounds.Where(round => baseline._rounds.ContainsKey(round.Key)).Select(round => Rate(round.Value) / Rate(baseline._rounds[round.Key]))];
        double median = Quantiles.Median([.. rates]);
        return new EvaluationRow
        {
            Place = place.Kind,
            Regime = regime,
            Workload = workload.Name,
            Contender = contender.Name,
            Rounds = [.. _rounds.Values.Select(round => new EvaluationRound(round.Operations, round.Seconds, round.Bytes))],
            OperationsPerSecond = median,
            BytesPerSecond = _rounds.Values.All(round => round.Bytes is not null) ? Quantiles.Median([.. _rounds.Values.Select(round => round.Bytes!.Value / round.Seconds)]) : null,
            Spread = (rates.Max() - rates.Min()) / median,
            SpeedUp = ratios.Length == 0 ? null : Quantiles.Median([.. ratios]),
            SpeedUpRange = ratios.Length == 0 ? null : new Interval(ratios.Min(), ratios.Max()),
            Latency = Latency(),
            Amplification = Amplification(),
        };
    }

    private static double Rate(WorkloadResult round) => round.Operations / round.Seconds;

    private LatencyFigures? Latency()
    {
        var all = new LatencySamples();
        foreach (LatencySamples? samples in _rounds.Values.Select(round => round.Latencies))
        {
            if (samples is null) return null;
            all.Add(samples);
        }

        return all.Figures();
    }

    private AmplificationFigures? Amplification()
    {
        if (_counts is not { } counts || _countedOperations == 0) return null;
        double? PerFlush(long? host) => host is null || counts.GuestFlushes == 0 ? null : host / (double)counts.GuestFlushes;
        double? PerByte(long? host) => host is null || counts.GuestWrittenBytes == 0 ? null : host / (double)counts.GuestWrittenBytes;
        return new AmplificationFigures(
            counts.GuestFlushes / (double)_countedOperations, PerFlush(counts.Host?.HostFlushes), PerFlush(counts.Host?.Barriers), PerByte(counts.Host?.WrittenBytes), PerByte(counts.Host?.PreallocatedBytes),
            place.CountedBy(contender, regime));
    }
}
