using System.Text.Json.Nodes;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Control;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A disk, or a tree, of a pipeline of ours, mounted by <c>sphost mount</c> in a process of its own.</summary>
internal sealed class SphostExport : IDiskExport
{
    // The last line of the banner.
    private const string ReadyLine = "stop: ";

    private readonly ServerProcess _server;
    private readonly string _socket;

    private SphostExport(ServerProcess server, string mountPoint, string socket) => (_server, MountPoint, _socket) = (server, mountPoint, socket);

    /// <summary>Where it is mounted.</summary>
    public string MountPoint { get; }

    /// <inheritdoc/>
    public string File => Path.Combine(MountPoint, "disk");

    /// <inheritdoc/>
    public StorageCounts? Counts => CountsOf(_socket);

    /// <summary>What the one disk of a child of ours has counted.</summary>
    /// <param name="control">The child's control socket.</param>
    public static StorageCounts CountsOf(string control)
    {
        JsonNode disk = ControlClient.Ask(control, new JsonObject { ["command"] = "stats" })["disks"]!.AsArray()[0]!;
        JsonObject bytes = disk["hostBytesWritten"]!.AsObject();
        long preallocated = (long?)bytes["preallocation"] ?? 0;
        return new StorageCounts((long)disk["hostFlushes"]!, (long)disk["barriers"]!, bytes.Sum(each => (long)each.Value!) - preallocated, preallocated);
    }

    /// <summary>Mounts an image.</summary>
    /// <param name="context">What it is made with.</param>
    /// <param name="pipeline">As it is timed.</param>
    /// <param name="image">The image.</param>
    /// <param name="request">Folders.</param>
    public static SphostExport Open(EvaluationContext context, PipelineDefinition pipeline, string image, VolumeRequest request)
    {
        string mountPoint = Directory.CreateDirectory(Path.Combine(request.Folder, "export")).FullName;
        string socket = Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]);
        // The guest has a page cache of its own: the loop device's. See docs/mount.md.
        ServerProcess server = context.Self.Start(pipeline, request.Folder, "mount", image, mountPoint, "--writeback-cache", "off", "--control", socket);
        try
        {
            server.WaitUntil(each => each.Output.Contains(ReadyLine, StringComparison.Ordinal), request.Cancel);
            context.Notes.AddErrorsOf(server.Errors);
            return new SphostExport(server, mountPoint, socket);
        }
        catch
        {
            server.Dispose();
            _ = FuseCalls.Unmount(mountPoint, FuseCalls.UnmountDetach);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Close() => _server.Stop();

    /// <inheritdoc/>
    public void Dispose()
    {
        _server.Dispose();
        // Of a child that was killed.
        _ = FuseCalls.Unmount(MountPoint, FuseCalls.UnmountDetach);
    }
}
