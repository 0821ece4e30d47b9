using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Control;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>What stands behind a virtual machine's disk. Disposing without <see cref="Close"/> abandons it.</summary>
internal interface IGuestDisk : IDisposable
{
    /// <summary>QEMU's <c>-blockdev</c> arguments, of which the last is the node <c>disk</c>.</summary>
    IReadOnlyList<string> BlockDevices { get; }

    /// <summary>What reached the host's storage since it was opened; null where nobody counts.</summary>
    StorageCounts? Counts { get; }

    /// <summary>Ends it cleanly; the machine is off.</summary>
    void Close();
}

/// <summary>A disk of a pipeline of ours, served by <c>sphost serve</c> in a process of its own.</summary>
internal sealed class ServedGuestDisk : IGuestDisk
{
    // The last line of the banner.
    private const string ReadyLine = "stop: ";

    private readonly ServerProcess _server;
    private readonly string _socket;
    private readonly string _control;

    private ServedGuestDisk(ServerProcess server, string socket, string control) => (_server, _socket, _control) = (server, socket, control);

    public IReadOnlyList<string> BlockDevices => [$"driver=nbd,node-name=disk,server.type=unix,server.path={QemuGuestDisk.Escape(_socket)}"];

    public StorageCounts? Counts => SphostExport.CountsOf(_control);

    /// <summary>Serves an image.</summary>
    public static ServedGuestDisk Open(EvaluationContext context, PipelineDefinition pipeline, string image, VolumeRequest request)
    {
        string socket = Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]), control = socket + "c";
        ServerProcess server = context.Self.Start(pipeline, request.Folder, "serve", image, "--socket", socket, "--control", control);
        try
        {
            server.WaitUntil(each => each.Output.Contains(ReadyLine, StringComparison.Ordinal), request.Cancel);
            return new ServedGuestDisk(server, socket, control);
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    public void Close() => _server.Stop();

    public void Dispose() => _server.Dispose();
}

/// <summary>QEMU's own driver in the machine's own process, on the file or, to be counted or slowed down, on a raw disk of ours.</summary>
internal sealed class QemuGuestDisk(string image, string format, LocalDisk? beneath) : IGuestDisk
{
    private StorageCounts? _final;

    // Caching as QEMU does it when nothing is said: write-back, through the host's page cache, as our files are written.
    public IReadOnlyList<string> BlockDevices =>
    [
        beneath is null ? $"driver=file,node-name=image,filename={Escape(image)}" : $"driver=nbd,node-name=image,server.type=unix,server.path={Escape(beneath.Socket)}",
        $"driver={format},node-name=disk,file=image",
    ];

    public StorageCounts? Counts => _final ?? beneath?.Counts;

    public void Close()
    {
        _final = Counts;
        beneath?.Close();
    }

    public void Dispose() => beneath?.Dispose();

    /// <summary>A path as a value of QEMU's options.</summary>
    internal static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);
}
