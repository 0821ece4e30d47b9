using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>A mounted image as those see it who watch.</summary>
internal sealed class WatchedMount(MountedImage mounted, FuseSession session) : IMeteredDisk
{
    public string Name { get; } = Path.GetFileName(mounted.Image.Path);

    public string Pipeline => mounted.Image.Pipeline.Name;

    public string Export => "fuse";

    public long Size { get; } = mounted.Image.Image.Description.VirtualSize;

    public DiskState State => mounted.Poison is not null ? DiskState.DurabilityLost : mounted.Image.IsReadOnly ? DiskState.ReadOnly : DiskState.Serving;

    public StorageMeter Meter => mounted.Image.Meter;

    public int ActiveRequests => session.ActiveRequests;

    public int? Connections => null;

    public void AddLatency(Span<long> counts, RequestKind kind) => mounted.Tree.Latency.AddTo(counts, kind);
}
