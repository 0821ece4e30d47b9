using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation;

/// <summary>What is to be measured.</summary>
/// <param name="Scale">How much.</param>
/// <param name="Rounds">Times that everything is timed, in turn.</param>
/// <param name="Regimes">On which devices.</param>
/// <param name="WorkloadNames">Which workloads; empty for all.</param>
internal sealed record EvaluationPlan(EvaluationScale Scale, int Rounds, IReadOnlyList<DeviceRegime> Regimes, IReadOnlyList<string> WorkloadNames)
{
    /// <summary>A quick run ends within this time; on a machine that is slow or busy with fewer rounds.</summary>
    public static readonly TimeSpan QuickLimit = TimeSpan.FromMinutes(3);

    // What is left of the limit for setting up, taking down, and a round that takes longer than the one before.
    private const double LimitUsed = 0.85;

    /// <summary>Within which runs are to be over; null for no limit.</summary>
    public TimeSpan? Limit => Scale == EvaluationScale.Quick ? QuickLimit * LimitUsed : null;

    /// <summary>What a flush costs on the host's device, in µs; measured when the evaluation begins.</summary>
    public double FlushMicroseconds { get; init; }

    /// <summary>What the simulated device adds.</summary>
    public required TimeSpan SlowFlush { get; init; }

    /// <summary>How large runs are on a device.</summary>
    public WorkloadSize SizeOn(DeviceRegime regime) => new(Scale, FlushMicroseconds + (regime == DeviceRegime.SlowFlush ? SlowFlush.TotalMicroseconds : 0));

    // A disk is sparse. Journal, tables and what a file system keeps in reserve have room in the first.
    private const long LeastDiskBytes = 8L << 30;
    private const long Granularity = 1L << 30;

    /// <summary>Whether volumes live for one run: at the papers' sizes those of all workloads together would not fit on the host's disk.</summary>
    public bool HasVolumesPerWorkload => Scale == EvaluationScale.Paper;

    /// <summary>Whether volumes live for one round. In a quick run they live for all of them: fresh files meet fresh clusters all the same.</summary>
    public bool HasVolumesPerRound => Scale == EvaluationScale.Standard;

    /// <summary>What runs in a place and regime: what was named, or what suits the scale.</summary>
    public IEnumerable<EvaluationWorkload> WorkloadsOf(Place place, DeviceRegime regime)
        => place.Workloads.Where(workload => WorkloadNames.Count == 0 ? workload.RunsIn(regime, Scale) : WorkloadNames.Contains(workload.Name));

    /// <summary>What does not run at this scale unless it is named.</summary>
    public IEnumerable<EvaluationWorkload> LeftOut(Place place)
        => WorkloadNames.Count > 0 ? [] : place.Workloads.Where(workload => !Regimes.Any(regime => workload.RunsIn(regime, Scale)));

    /// <summary>Bytes that workloads take on one volume.</summary>
    public long BytesTaken(IEnumerable<EvaluationWorkload> workloads, DeviceRegime regime)
    {
        long bytes = workloads.Sum(workload => workload.DiskBytes(SizeOn(regime)));
        return HasVolumesPerRound || HasVolumesPerWorkload ? bytes : bytes * (Rounds + 1);
    }

    /// <summary>Size of a disk on which that much is written.</summary>
    public static long DiskBytes(long taken) => Math.Max(LeastDiskBytes, (taken + (taken >> 1)) / Granularity * Granularity + Granularity);
}
