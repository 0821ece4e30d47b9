using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>Somewhere that workloads run: a block device, a guest file system, a virtual machine, a file system in memory.</summary>
/// <remarks>Used by one thread; <see cref="SetUp"/> by several at once.</remarks>
internal abstract class Place
{
    /// <summary>Which.</summary>
    public abstract EvaluationPlace Kind { get; }

    /// <summary>As on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>One line for headings: what stands on what.</summary>
    public abstract string Description { get; }

    /// <summary>What runs here, in the order of the tables.</summary>
    public abstract IReadOnlyList<EvaluationWorkload> Workloads { get; }

    /// <summary>Who is measured here, in the order of the tables.</summary>
    public abstract IReadOnlyList<EvaluatedContender> Contenders { get; }

    /// <summary>Name of the contender that the others' speed is told in terms of.</summary>
    public virtual string Baseline => EvaluatedContender.Baseline;

    /// <summary>Whether its workloads are cells of a matrix, to be shown in one table.</summary>
    public virtual bool IsMatrix => false;

    /// <summary>How long a run takes here beside one in the guest file system, its share of the setting up included.</summary>
    public virtual double StepWeight => 1;

    /// <summary>Why nothing can be measured here on this machine; null when it can.</summary>
    public virtual string? Lacks() => null;

    /// <summary>Whether a slow flush makes sense here.</summary>
    public virtual bool Has(DeviceRegime regime) => true;

    /// <summary>Why a contender cannot be set up here; null when it can.</summary>
    public virtual string? Lacks(EvaluatedContender contender, DeviceRegime regime) => null;

    /// <summary>Whether the volume that is timed also counts what reaches the host. Otherwise a pass of its own, with <see cref="VolumeRequest.IsCounting"/>, does.</summary>
    public abstract bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime);

    /// <summary>How the host's side is counted, for readers.</summary>
    public abstract string CountedBy(EvaluatedContender contender, DeviceRegime regime);

    /// <summary>Makes a fresh disk or file system and sets it up.</summary>
    /// <exception cref="DiagnosticException">It cannot be set up; nothing of it is left.</exception>
    public abstract IVolume SetUp(EvaluatedContender contender, VolumeRequest request);

    /// <summary>Uses a volume as the workloads will, before the clock starts: a server's code is compiled as it runs, and its first writes make what later ones find.</summary>
    public abstract void WarmUp(IVolume volume, CancellationToken cancel);
}

/// <summary>What volume is wanted.</summary>
/// <param name="Folder">For images and mount points; made, empty, and deleted by the caller afterwards. Within <see cref="EvaluationScratch"/>, by which leftovers are found.</param>
/// <param name="Sockets">Folder with a short name, for sockets; the same for all volumes.</param>
/// <param name="DiskBytes">Size of the disk; images are sparse.</param>
/// <param name="NeededBytes">Size that is enough, for what is not sparse.</param>
/// <param name="Regime">On which device.</param>
/// <param name="IsCounting">Count what reaches the host, even if that takes time.</param>
/// <param name="Cancel">Ends the setting up.</param>
internal sealed record VolumeRequest(string Folder, string Sockets, long DiskBytes, long NeededBytes, DeviceRegime Regime, bool IsCounting, CancellationToken Cancel);
