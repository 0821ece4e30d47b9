using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation;

/// <summary>Somebody who is measured. A place knows how to set each kind of contender up, or says why it cannot.</summary>
/// <param name="Name">As in the tables.</param>
/// <param name="Description">One sentence.</param>
/// <param name="IsReference">A peer, not ours.</param>
internal abstract record EvaluatedContender(string Name, string Description, bool IsReference)
{
    /// <summary>The contender that the others' speed is told in terms of, where disks are measured.</summary>
    public const string Baseline = "qemu";
}

/// <summary>A disk of one of our pipelines.</summary>
/// <param name="Pipeline">With a place for its journal where it wants persistent memory.</param>
internal sealed record EvaluatedPipeline(PipelineDefinition Pipeline)
    : EvaluatedContender(Pipeline.Name, Pipeline.Description.Length > 0 ? Pipeline.Description : string.Join(" on ", Pipeline.Uses.Select(use => use.Id)), IsReference: false);

/// <summary>A disk of QEMU's own.</summary>
/// <param name="Kind">Which.</param>
internal sealed record EvaluatedQemu(QemuKind Kind) : EvaluatedContender(NameOf(Kind), DescriptionOf(Kind), IsReference: true)
{
    /// <summary>The format of its image, as QEMU calls it.</summary>
    public string Format => Kind is QemuKind.Default or QemuKind.LazyRefcounts ? "qcow2" : "raw";

    private static string NameOf(QemuKind kind) => kind switch
    {
        QemuKind.Default => Baseline,
        QemuKind.LazyRefcounts => Baseline + "-lazy",
        QemuKind.RawSparse => Baseline + "-raw",
        _ => Baseline + "-raw-preallocated",
    };

    private static string DescriptionOf(QemuKind kind) => kind switch
    {
        QemuKind.Default => "QEMU's qcow2 with default options",
        QemuKind.LazyRefcounts => "QEMU's qcow2 with lazy_refcounts=on",
        QemuKind.RawSparse => "QEMU on a sparse raw file",
        _ => "QEMU on a raw file in which every range of the workload was written before",
    };
}

/// <summary>A plain file in place of a disk: what the guest and the device take by themselves. Who serves a disk in a process of its own is hardly ever faster.</summary>
internal sealed record EvaluatedPlainFile()
    : EvaluatedContender("plain-file", "a file in place of a disk, whose bytes were all written before: no format and no process, the guest's part and the device's alone", IsReference: true);

/// <summary>A file system in memory, in the place that the second paper is about.</summary>
/// <param name="Kind">Which.</param>
internal sealed record EvaluatedMemoryFileSystem(MemoryFileSystemKind Kind) : EvaluatedContender(NameOf(Kind), DescriptionOf(Kind), IsReference: Kind == MemoryFileSystemKind.Ext4)
{
    /// <summary>Name of the reference.</summary>
    public const string Ext4 = "ext4-ram";

    private static string NameOf(MemoryFileSystemKind kind) => kind switch
    {
        MemoryFileSystemKind.Ext4 => Ext4,
        MemoryFileSystemKind.Mounted => "pmfs-mounted",
        _ => "pmfs-in-process",
    };

    private static string DescriptionOf(MemoryFileSystemKind kind) => kind switch
    {
        MemoryFileSystemKind.Ext4 => "ext4, data=ordered, on a loop device on a file in memory",
        MemoryFileSystemKind.Mounted => "pmfs in a file in memory, mounted by FUSE",
        _ => "pmfs in a file in memory, called in this process",
    };
}

/// <summary>File systems in memory.</summary>
internal enum MemoryFileSystemKind
{
    /// <summary>ext4 on a RAM disk.</summary>
    Ext4 = 0,

    /// <summary>pmfs by FUSE.</summary>
    Mounted,

    /// <summary>pmfs without a kernel between.</summary>
    InProcess,
}
