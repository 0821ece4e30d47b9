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

    // IOzone's matrix has hundreds of workloads, most of them far smaller than what it takes to set disks up.
    private const long SharedBytes = 1L << 30;

    /// <summary>Whether volumes live for one round. In a quick run they live for all of them: fresh files meet fresh clusters all the same.</summary>
    public bool HasVolumesPerRound => Scale != EvaluationScale.Quick;

    /// <summary>What runs in a place and regime: what was named, or what suits the scale.</summary>
    public IEnumerable<EvaluationWorkload> WorkloadsOf(Place place, DeviceRegime regime)
        => place.Workloads.Where(workload => WorkloadNames.Count == 0 ? workload.RunsIn(regime, Scale) : WorkloadNames.Contains(workload.Name));

    /// <summary>What does not run at this scale unless it is named.</summary>
    public IEnumerable<EvaluationWorkload> LeftOut(Place place)
        => WorkloadNames.Count > 0 ? [] : place.Workloads.Where(workload => !Regimes.Any(regime => workload.RunsIn(regime, Scale)));

    /// <summary>
    /// Workloads that share volumes: all of them, except at the papers' sizes, which together would not fit on the host's disk. There neighbours share that take
    /// no more than a GiB together.
    /// </summary>
    public IEnumerable<EvaluationWorkload[]> Batches(IEnumerable<EvaluationWorkload> workloads, DeviceRegime regime)
    {
        var batch = new List<EvaluationWorkload>();
        long taken = 0;
        foreach (EvaluationWorkload workload in workloads)
        {
            long bytes = workload.DiskBytes(SizeOn(regime));
            if (Scale == EvaluationScale.Paper && batch.Count > 0 && taken + bytes > SharedBytes)
            {
                yield return [.. batch];
                batch.Clear();
                taken = 0;
            }

            batch.Add(workload);
            taken += bytes;
        }

        if (batch.Count > 0) yield return [.. batch];
    }

    /// <summary>Size of a disk that has room for all runs of workloads on one volume.</summary>
    public long DiskBytes(IEnumerable<EvaluationWorkload> workloads, DeviceRegime regime) => Math.Max(LeastDiskBytes, NeededBytes(workloads, regime));

    /// <summary>The same for a disk that is not sparse: no more than it takes, a multiple of a GiB.</summary>
    public long NeededBytes(IEnumerable<EvaluationWorkload> workloads, DeviceRegime regime)
    {
        long taken = workloads.Sum(workload => workload.DiskBytes(SizeOn(regime))) * RunsOnAVolume;
        return ((taken + (taken >> 1)) / Granularity * Granularity) + Granularity;
    }

    /// <summary>About the space that one volume takes on the host in the end; a multiple of a GiB.</summary>
    public long SpaceTaken(IEnumerable<EvaluationWorkload> workloads, DeviceRegime regime)
    {
        long written = workloads.Sum(workload => workload.WrittenBytes(SizeOn(regime))) * RunsOnAVolume;
        // An eighth for what journals, tables and preallocation add.
        return (written + (written >> 3) + Granularity - 1) / Granularity * Granularity;
    }

    private int RunsOnAVolume => HasVolumesPerRound ? 1 : Rounds + 1;
}
