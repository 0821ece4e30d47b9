using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>The raw disk of this process that a QEMU stands on when what reaches the host is to be counted, or to be slow.</summary>
internal static class QemuBeneath
{
    private static readonly PipelineDefinition s_raw = BuiltInPipelines.All.First(pipeline => pipeline.Name == BuiltInPipelines.Raw);

    /// <summary>Serves an image that QEMU is to open over NBD; null when QEMU opens the file itself.</summary>
    public static LocalDisk? OpenIfWanted(EvaluationContext context, EvaluatedQemu qemu, string image, VolumeRequest request)
    {
        if (request.Regime == DeviceRegime.AsIs && !request.IsCounting) return null;
        // An image on an NBD export cannot grow: as many clusters as the disk has, with as much for tables as that can take.
        if (qemu.Format != "raw") DurableFile.Extend(image, request.DiskBytes + (request.DiskBytes >> 6));
        return LocalDisk.Open(context.Composer, context.Timed(s_raw, request.Regime), image, Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]), context.Logger);
    }
}
