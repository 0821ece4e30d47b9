using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>
/// The raw disk that a QEMU stands on when what reaches the host is to be counted, or to be slow, served by <c>sphost serve</c> in a process of its own. It must not be
/// this one: a process that is killed while one of its threads waits for a file system in the kernel lives on until that answers, and it never would if it waited for
/// other threads of the very same process.
/// </summary>
internal sealed class ServedBeneath : IDisposable
{
    // The last line of the banner.
    private const string ReadyLine = "stop: ";

    private readonly ServerProcess _server;
    private readonly string _control;

    private ServedBeneath(ServerProcess server, string socket, string control) => (_server, Socket, _control) = (server, socket, control);

    /// <summary>Where it is served.</summary>
    public string Socket { get; }

    /// <summary>What reached the host's storage.</summary>
    public StorageCounts Counts => SphostExport.CountsOf(_control);

    /// <summary>Serves an image.</summary>
    public static ServedBeneath Open(EvaluationContext context, PipelineDefinition pipeline, string image, VolumeRequest request)
    {
        string socket = Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]), control = socket + "c";
        ServerProcess server = context.Self.Start(pipeline, request.Folder, "serve", image, "--socket", socket, "--control", control);
        try
        {
            server.WaitUntil(each => each.Output.Contains(ReadyLine, StringComparison.Ordinal), request.Cancel);
            return new ServedBeneath(server, socket, control);
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Ends it cleanly; its client has left.</summary>
    public void Close() => _server.Stop();

    /// <inheritdoc/>
    public void Dispose() => _server.Dispose();
}
