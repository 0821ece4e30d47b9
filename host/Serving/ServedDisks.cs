using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Serving;

/// <summary>The images that a host serves and the exports of their disks, from open to close.</summary>
/// <remarks>Opened and closed by one thread.</remarks>
internal sealed class ServedDisks(PipelineComposer composer, ILogger logger) : IDisposable
{
    /// <summary>How long running requests and the last flush may take at the end. A device that needs longer has failed.</summary>
    public static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Snapshots beyond this number are not exported: a listing of exports is read by people.</summary>
    private const int MaxSnapshotExports = 256;

    private readonly List<OpenedImage> _images = [];
    private readonly List<NbdExport> _exports = [];

    /// <summary>What is served.</summary>
    public IReadOnlyList<NbdExport> Exports => _exports;

    /// <summary>The images, in the order of opening.</summary>
    public IReadOnlyList<OpenedImage> Images => _images;

    /// <summary>Opens an image, making it when the definition says so, and exports its disks: the live one under the definition's name,
    /// snapshots read-only as <c>NAME@SNAPSHOT</c>.</summary>
    public void Open(DiskDefinition definition)
    {
        PipelineDefinition pipeline = composer.Choose(definition.Pipeline, definition.Image);
        if (definition.Size is { } size && !definition.ReadOnly && !File.Exists(definition.Image))
        {
            composer.Create(pipeline, definition.Image, new CreateRequest(size));
            logger.LogInformation("made {Image}, {Size}, {Format}", definition.Image, Quantities.FormatSize(size), pipeline.Format.Id);
        }

        OpenedImage opened = composer.Open(pipeline, definition.Image, definition.ReadOnly);
        _images.Add(opened);
        string? after = null;
        foreach (DiskEntry entry in opened.Image.ListDisks(after, MaxSnapshotExports + 1))
        {
            string name = entry.Name.Length == 0 ? definition.Name : $"{definition.Name}@{entry.Name}";
            try
            {
                // Snapshots share the image's meter: what they cost is the image's cost.
                _exports.Add(new NbdExport(name, new ServedDisk(name.Length == 0 ? definition.Image : name, opened.Image.OpenDisk(entry.Name), opened.Meter), DescriptionOf(definition, entry, opened)));
            }
            catch (DiagnosticException broken) when (entry.Name.Length > 0)
            {
                logger.LogWarning("{Code}: {Message}", broken.Code, broken.Message);
            }
        }
    }

    /// <summary>Waits for running requests, commits, flushes and closes every image.</summary>
    /// <returns>False when an image could not be closed cleanly; the reason is logged, the others are closed.</returns>
    public bool Close()
    {
        bool clean = true;
        foreach (NbdExport export in _exports)
        {
            if (export.Disk.Quiesce(DrainTimeout)) continue;
            logger.LogError("SP4012: {Disk}: requests were still running after {Seconds} s; the image is left as a crash would leave it", export.Disk.Name, DrainTimeout.TotalSeconds);
            clean = false;
        }

        if (!clean) return false;
        foreach (OpenedImage image in _images) clean &= TryClose(image);
        return clean;
    }

    /// <summary>Lets go of everything without a clean end where <see cref="Close"/> was not called.</summary>
    public void Dispose()
    {
        foreach (NbdExport export in _exports) export.Disk.Dispose();
        foreach (OpenedImage image in _images) image.Dispose();
    }

    private bool TryClose(OpenedImage image)
    {
        try
        {
            image.Image.Close();
            return true;
        }
        catch (Exception failure) when (failure is StorageException or DiagnosticException)
        {
            logger.LogError("SP4013: {Image}: it could not be closed cleanly: {Reason}; open it again to recover it", image.Path, failure.Message);
            return false;
        }
    }

    private static string DescriptionOf(DiskDefinition definition, DiskEntry entry, OpenedImage opened)
    {
        string description = entry.Description.Length > 0 ? entry.Description : definition.Description;
        return opened.UnsafeReasons.Count > 0 ? $"{description} UNSAFE: {string.Join("; ", opened.UnsafeReasons)}".Trim() : description;
    }
}
