using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Comparison;

/// <summary>qemu-nbd with one kind of image. It has no meter: a pass of its own, with qemu-nbd on an NBD export of ours, counts.</summary>
/// <param name="kind">Which.</param>
/// <param name="composer">Serves the raw disk beneath QEMU when something is to be counted or slowed down.</param>
/// <param name="slowFlush">The simulated device under our raw disk; null to time qemu-nbd on the file itself.</param>
/// <param name="tools">QEMU's programs.</param>
/// <param name="logger">What strategies say.</param>
internal sealed class QemuContender(QemuKind kind, PipelineComposer composer, StrategyUse? slowFlush, QemuTools tools, ILogger logger) : Contender
{
    /// <summary>The name of the reference that others are compared with.</summary>
    public const string Baseline = "qemu-nbd";

    // An image on an NBD export cannot grow: as many fresh clusters as the workload can take, tables included, and this much more.
    private const long GrowthSlack = 1L << 30;

    private static readonly PipelineDefinition s_raw = BuiltInPipelines.All.First(pipeline => pipeline.Name == BuiltInPipelines.Raw);

    public override string Name => kind switch
    {
        QemuKind.Default => Baseline,
        QemuKind.LazyRefcounts => Baseline + "-lazy",
        QemuKind.RawSparse => Baseline + "-raw-sparse",
        _ => Baseline + "-raw-preallocated",
    };

    public override string Description => kind switch
    {
        QemuKind.Default => "qemu-nbd, qcow2",
        QemuKind.LazyRefcounts => "qemu-nbd, qcow2 with lazy_refcounts=on",
        QemuKind.RawSparse => "qemu-nbd, a sparse raw file",
        _ => "qemu-nbd, a raw file in which every range of the workload was written before",
    };

    public override string CountedBy => slowFlush is null
        ? "a pass of its own, not timed: qemu-nbd on an NBD export of this process, whose raw file counts"
        : "the raw file of this process that the timed qemu-nbd stands on, over NBD";

    public override bool IsReference => true;

    public override bool CountsWhileTimed => slowFlush is not null;

    private string Format => kind is QemuKind.Default or QemuKind.LazyRefcounts ? "qcow2" : "raw";

    public override string? Lacks(Workload workload) =>
        tools.Nbd is null ? "qemu-nbd is not installed"
        : tools.Img is null ? "qemu-img is not installed"
        : workload.HasSnapshot && Format == "raw" ? "raw disks have no snapshots"
        : null;

    public override void Prepare(Workload workload, PreparedRun run)
    {
        if (Format == "raw")
        {
            IEnumerable<(long Offset, int Length)> written = workload.IsWritten ? run.AreaBlocks() : [];
            if (kind == QemuKind.RawPreallocated) written = written.Concat(run.Offsets.SelectMany(each => each).Select(offset => (offset, workload.WriteBytes)));
            DurableFile.Create(run.Image, run.DiskBytes, written);
            return;
        }

        tools.Create(run.Image, run.DiskBytes, lazyRefcounts: kind == QemuKind.LazyRefcounts);
        if (workload.IsWritten)
        {
            using QemuDisk disk = QemuDisk.OnFile(tools, run.Image, Format, Socket(run));
            LoadDriver.Fill(disk, run.AreaBlocks(), run.Cancel);
        }

        if (workload.HasSnapshot) tools.Snapshot(run.Image);
        DurableFile.Flush(run.Image);
    }

    public override IMeasuredDisk Open(PreparedRun run) => slowFlush is null ? QemuDisk.OnFile(tools, run.Image, Format, Socket(run)) : OpenCounting(run);

    public override IMeasuredDisk OpenCounting(PreparedRun run)
    {
        if (Format != "raw") DurableFile.Extend(run.Image, (4 * run.AreaBytes) + GrowthSlack);
        LocalDisk beneath = LocalDisk.Open(composer, PipelineContender.On(slowFlush, s_raw), run.Image, Path.Combine(run.Sockets, "beneath.sock"), logger);
        return QemuDisk.OnExport(tools, beneath, Format, Socket(run));
    }

    private static string Socket(PreparedRun run) => Path.Combine(run.Sockets, "qemu.sock");
}

/// <summary>What qemu-nbd serves.</summary>
internal enum QemuKind
{
    /// <summary>qcow2 as qemu-img makes it.</summary>
    Default = 0,

    /// <summary>qcow2 with lazy refcounts: the one to beat.</summary>
    LazyRefcounts,

    /// <summary>A sparse raw file.</summary>
    RawSparse,

    /// <summary>A raw file without holes where the workload writes.</summary>
    RawPreallocated,
}
