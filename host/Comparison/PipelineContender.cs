using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Comparison;

/// <summary>One of our pipelines. It counts by its own meter.</summary>
/// <param name="composer">Opens and makes images.</param>
/// <param name="pipeline">As configured; images are prepared with it.</param>
/// <param name="slowFlush">The simulated device that it is timed on; null to time it as it is.</param>
/// <param name="tools">For snapshots.</param>
/// <param name="logger">What strategies say.</param>
/// <param name="folder">For its images, where they cannot lie with the others'; made and deleted with each run.</param>
internal sealed class PipelineContender(
    PipelineComposer composer, PipelineDefinition pipeline, StrategyUse? slowFlush, QemuTools tools, ILogger logger, string? folder = null) : Contender
{
    private const string SnapshotFormat = "qcow2";

    private readonly PipelineDefinition _timed = On(slowFlush, pipeline);
    private bool _isMade;

    public override string Name => pipeline.Name;

    public override string Description => pipeline.Description.Length > 0 ? pipeline.Description : string.Join(" on ", pipeline.Uses.Select(use => use.Id));

    public override string CountedBy => "its own meter, in the timed rounds";

    public override bool IsReference => false;

    public override bool CountsWhileTimed => true;

    private bool StandsOnFile => pipeline.Media[^1].Id == BuiltInStrategies.FileMedium;

    /// <summary>A pipeline with a simulated device under everything.</summary>
    public static PipelineDefinition On(StrategyUse? slowFlush, PipelineDefinition pipeline)
        => slowFlush is null ? pipeline : pipeline with { Media = [slowFlush, .. pipeline.Media] };

    public override string? Lacks(Workload workload)
    {
        if (!workload.HasSnapshot) return null;
        if (pipeline.Format.Id != SnapshotFormat) return $"format {pipeline.Format.Id} has no internal snapshots";
        if (!StandsOnFile) return "qemu-img, which takes the snapshot, needs a file";
        return tools.Img is null ? "qemu-img, which takes the snapshot, is not installed" : null;
    }

    public override void Prepare(Workload workload, PreparedRun run)
    {
        run = InFolder(run);
        if (folder is not null) Directory.CreateDirectory(folder);
        composer.Create(pipeline, run.Image, new CreateRequest(run.DiskBytes));
        _isMade = true;
        if (workload.IsWritten)
        {
            using LocalDisk disk = LocalDisk.Open(composer, pipeline, run.Image, Socket(run), logger);
            LoadDriver.Fill(disk, run.AreaBlocks(), run.Cancel);
        }

        if (workload.HasSnapshot) tools.Snapshot(run.Image);
        if (File.Exists(run.Image)) DurableFile.Flush(run.Image);
    }

    public override IMeasuredDisk Open(PreparedRun run) => LocalDisk.Open(composer, _timed, InFolder(run).Image, Socket(run), logger);

    public override void Forget(PreparedRun run)
    {
        if (folder is not null)
        {
            _isMade = false;
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            return;
        }

        if (!_isMade || File.Exists(run.Image)) return;
        _isMade = false;
        using IStorageMedium medium = composer.OpenMedium(pipeline, run.Image, readOnly: false);
        medium.SetLength(0);
    }

    private PreparedRun InFolder(PreparedRun run) => folder is null ? run : run with { Folder = folder };

    private static string Socket(PreparedRun run) => Path.Combine(run.Sockets, "disk.sock");
}
