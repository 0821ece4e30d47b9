using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.VirtualMachine;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Something that is run on a volume and timed. It has no state: each run is one call.</summary>
internal abstract class EvaluationWorkload
{
    /// <summary>The most that one run may take: 5 GiB at 6 ms a block of 64 KiB is nine minutes. Beyond it something hangs.</summary>
    protected static readonly TimeSpan RunLimit = TimeSpan.FromHours(2);

    /// <summary>Name, definition and what an operation is; the same at all scales and places that share the name.</summary>
    public abstract WorkloadFacts Facts { get; }

    /// <summary>As in the tables.</summary>
    public string Name => Facts.Name;

    /// <summary>Why it cannot be run here, such as a program that is not installed; null when it can.</summary>
    public virtual string? Lacks() => null;

    /// <summary>Whether it is run in this regime at this scale: quick runs leave most of the slow device out.</summary>
    public virtual bool RunsIn(DeviceRegime regime, EvaluationScale scale) => true;

    /// <summary>About the bytes of disk that one run spreads over.</summary>
    public abstract long DiskBytes(WorkloadSize size);

    /// <summary>About the bytes that one run writes for the first time, which take space on the host.</summary>
    public virtual long WrittenBytes(WorkloadSize size) => DiskBytes(size);

    /// <summary>Prepares what it needs, outside of what is timed, runs and takes the time.</summary>
    /// <exception cref="DiagnosticException">A program or the volume failed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public abstract WorkloadResult Run(WorkloadRun run);
}

/// <summary>How large a run is.</summary>
/// <param name="Scale">As asked for.</param>
/// <param name="FlushMicroseconds">What a flush costs on the device, the simulated part included: where it costs more, a run does less, so that it takes about as long.</param>
internal readonly record struct WorkloadSize(EvaluationScale Scale, double FlushMicroseconds)
{
    // The sizes were chosen where a flush costs this much.
    private const double UsualMicroseconds = 400;
    private const int LeastOperations = 8;

    /// <summary>Operations of a run; the papers' own numbers whatever a flush costs.</summary>
    /// <param name="scaled">On a device of the usual speed.</param>
    public long Operations(Scaled scaled)
    {
        long operations = scaled.At(Scale);
        return Scale == EvaluationScale.Paper ? operations : Math.Max(Math.Min(LeastOperations, operations), (long)(operations * Math.Min(1, UsualMicroseconds / FlushMicroseconds)));
    }
}

/// <summary>One run of a workload.</summary>
/// <param name="volume">Where; of the kind that the place of the workload sets up.</param>
/// <param name="size">How large.</param>
/// <param name="round">0 for the round that is not timed, then from 1.</param>
/// <param name="cancel">Ends it.</param>
internal sealed class WorkloadRun(IVolume volume, WorkloadSize size, int round, CancellationToken cancel)
{
    private static readonly TimeSpan s_rest = TimeSpan.FromMilliseconds(200);

    private VolumeCounts? _before;

    /// <summary>Where.</summary>
    public IVolume Volume => volume;

    /// <summary>How large.</summary>
    public WorkloadSize Size => size;

    /// <summary>With the workload's name it makes names of files that no run had before: appends must meet fresh clusters.</summary>
    public int Round => round;

    /// <summary>Ends it.</summary>
    public CancellationToken Cancel => cancel;

    /// <summary>What the timed part asked of the volume and cost the host; null where nobody counts.</summary>
    public VolumeCounts? Counts { get; private set; }

    /// <summary>A path in the volume's folder that no other run has.</summary>
    public string NewPath(EvaluationWorkload workload, string suffix = "")
        => Path.Combine(volume is IMachineVolume machine ? machine.Folder : ((IFolderVolume)volume).Folder, $"{workload.Name}-{round}{suffix}");

    /// <summary>Runs a program to its end where the volume is a file system: here, or in the virtual machine, where its two outputs are one.</summary>
    /// <exception cref="DiagnosticException">It failed.</exception>
    public ProgramOutput RunProgram(string program, IReadOnlyList<string> arguments, TimeSpan limit)
    {
        if (volume is not IMachineVolume machine) return Programs.Run(program, arguments, limit, cancel);
        string output = machine.Run(string.Join(' ', arguments.Prepend(Path.Combine(GuestScript.ProgramFolder, program)).Select(Quote)), limit, cancel).Output;
        return new ProgramOutput(output, output);
    }

    /// <summary>After a file was written that is to be overwritten: what a disk does behind a guest that appends (preallocation, checkpoints) is over then, as it
    /// is where a file was written long ago.</summary>
    public void Rest() => cancel.WaitHandle.WaitOne(s_rest);

    /// <summary>To be called directly before the timed part: what was prepared reaches the disk, and counting begins.</summary>
    public void BeginTimed()
    {
        cancel.ThrowIfCancellationRequested();
        volume.Settle();
        _before = volume.Counts;
    }

    /// <summary>To be called directly after the timed part.</summary>
    public void EndTimed() => Counts = volume.Counts - _before;

    // For a shell.
    private static string Quote(string argument) => $"'{argument.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}

/// <summary>What a run did in how much time.</summary>
/// <param name="Operations">Done.</param>
/// <param name="Seconds">For all of them.</param>
/// <param name="Bytes">Of payload; null where operations have none.</param>
/// <param name="Latencies">Of the operations; null where only the whole can be timed.</param>
internal sealed record WorkloadResult(long Operations, double Seconds, long? Bytes, LatencySamples? Latencies);
