using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Serving;

/// <summary>The images that a host serves and the exports of their disks, from open to close.</summary>
/// <remarks>Thread-safe: opening, switching and closing exclude each other.</remarks>
internal sealed class ServedDisks(PipelineComposer composer, ILogger logger) : IDisposable
{
    /// <summary>How long running requests and the last flush may take at the end. A device that needs longer has failed.</summary>
    public static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(30);

    private readonly Lock _changing = new();
    private volatile ServedImage[] _served = [];
    private bool _isClosed;

    /// <summary>What is served.</summary>
    public IReadOnlyList<NbdExport> Exports => [.. _served.SelectMany(served => served.Exports)];

    /// <summary>The images, in the order of opening.</summary>
    public IReadOnlyList<OpenedImage> Images => [.. _served.Select(served => served.Image)];

    /// <summary>The same with their exports.</summary>
    public IReadOnlyList<ServedImage> Served => _served;

    /// <summary>Opens an image, making it when the definition says so, and exports its disks: the live one under the definition's name,
    /// snapshots read-only as <c>NAME@SNAPSHOT</c>.</summary>
    /// <exception cref="DiagnosticException">It cannot be opened; SP4026: one of this name is served already.</exception>
    public ServedImage Open(DiskDefinition definition)
    {
        lock (_changing)
        {
            if (_isClosed) throw new DiagnosticException("SP4026", "the host is stopping", definition.Name);
            if (_served.Any(served => served.Definition.Name == definition.Name)) throw new DiagnosticException("SP4026", "a disk of this name is served already", definition.Name, fix: "choose another name");
            ServedImage opened = ServedImage.Open(definition, composer, logger);
            _served = [.. _served, opened];
            return opened;
        }
    }

    /// <summary>Moves a disk to another pipeline.</summary>
    /// <param name="disk">Its export's name; of a single disk the image's file name too.</param>
    /// <param name="pipeline">The pipeline's name.</param>
    /// <returns>The pipelines' names before and after, and how long clients waited.</returns>
    /// <exception cref="DiagnosticException">SP4023: there is no such disk. Otherwise as <see cref="ServedImage.Switch"/>.</exception>
    public (string From, string To, TimeSpan Pause) Switch(string disk, string pipeline)
    {
        ServedImage served = Find(disk);
        lock (_changing)
        {
            if (_isClosed) throw new DiagnosticException("SP4020", "the host is stopping", disk);
            string from = served.Image.Pipeline.Name;
            TimeSpan pause = served.Switch(composer.Choose(pipeline, served.Definition.Image));
            logger.LogInformation("{Disk}: switched from pipeline {From} to {To}; clients waited {Pause:0.0} ms", disk, from, served.Image.Pipeline.Name, pause.TotalMilliseconds);
            return (from, served.Image.Pipeline.Name, pause);
        }
    }

    /// <summary>Waits for running requests, commits, flushes and closes every image.</summary>
    /// <returns>False when an image could not be closed cleanly; the reason is logged, the others are closed.</returns>
    public bool Close()
    {
        lock (_changing)
        {
            _isClosed = true;
            bool clean = true;
            foreach (ServedImage served in _served) clean &= served.Quiesce(DrainTimeout);
            if (!clean) return false;
            foreach (ServedImage served in _served) clean &= served.TryClose();
            return clean;
        }
    }

    /// <summary>Lets go of everything without a clean end where <see cref="Close"/> was not called.</summary>
    public void Dispose()
    {
        foreach (ServedImage served in _served) served.Dispose();
    }

    private ServedImage Find(string disk) =>
        Array.Find(_served, served => served.Definition.Name == disk) ?? (_served.Length == 1 && Path.GetFileName(_served[0].Definition.Image) == Path.GetFileName(disk) ? _served[0] : null)
        ?? throw new DiagnosticException("SP4023", $"no disk '{disk}' is served here", expected: string.Join(", ", _served.Select(served => served.Name)), fix: "list them: sphost disk list");
}
