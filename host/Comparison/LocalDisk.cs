using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Comparison;

/// <summary>A disk of a pipeline of this process, behind our own server on a private socket.</summary>
internal sealed class LocalDisk : IMeasuredDisk
{
    // Nothing is in flight when a run is over; a server that needs longer hangs.
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(30);

    private readonly OpenedImage _image;
    private readonly ServedDisk _disk;
    private readonly NbdServer _server;

    private LocalDisk(OpenedImage image, ServedDisk disk, NbdServer server, string socket)
    {
        _image = image;
        _disk = disk;
        _server = server;
        Socket = socket;
    }

    /// <summary>Where it is served.</summary>
    public string Socket { get; }

    /// <inheritdoc/>
    public StorageCounts? Counts => StorageCounts.Of(_image.Meter);

    /// <summary>Opens an image and serves its live disk.</summary>
    public static LocalDisk Open(PipelineComposer composer, PipelineDefinition pipeline, string image, string socket, ILogger logger)
    {
        OpenedImage opened = composer.Open(pipeline, image, readOnly: false);
        ServedDisk? disk = null;
        NbdServer? server = null;
        try
        {
            disk = new ServedDisk(pipeline.Name, opened.Image.OpenDisk(""), opened.Meter);
            server = new NbdServer([new NbdExport("", disk)], new NbdLimits(), logger);
            server.Start(NbdListener.UnixSocket(socket));
            return new LocalDisk(opened, disk, server, socket);
        }
        catch
        {
            server?.Dispose();
            disk?.Dispose();
            opened.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public NbdClient Connect() => NbdClient.Connect(Socket, _image.Pipeline.Name, Workload.BlockBytes);

    /// <inheritdoc/>
    public void Close()
    {
        if (!_server.Stop(s_stopTimeout) || !_disk.Quiesce(s_stopTimeout))
            throw new DiagnosticException("SP4106", $"the NBD server failed: requests were still running after {s_stopTimeout.TotalSeconds:0} s", _image.Pipeline.Name);
        _image.Image.Close();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _server.Dispose();
        _disk.Dispose();
        _image.Dispose();
    }
}
