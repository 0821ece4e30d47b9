using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A disk of QEMU's own driver, exported by FUSE by <c>qemu-storage-daemon</c>: on a file, or on a raw NBD export of this process, which counts or is slow.</summary>
internal sealed class QemuExport : IDiskExport
{
    private const string Program = "qemu-storage-daemon";

    private readonly ServerProcess _server;
    private readonly LocalDisk? _beneath;
    private StorageCounts? _final;

    private QemuExport(ServerProcess server, string file, LocalDisk? beneath) => (_server, File, _beneath) = (server, file, beneath);

    /// <inheritdoc/>
    public string File { get; }

    /// <inheritdoc/>
    public StorageCounts? Counts => _final ?? _beneath?.Counts;

    /// <summary>Exports an image.</summary>
    /// <param name="image">The image.</param>
    /// <param name="format">Its format.</param>
    /// <param name="beneath">The raw export that the image is seen through; disposed with the new object. Null to open the file.</param>
    /// <param name="request">Folders.</param>
    public static QemuExport Open(string image, string format, LocalDisk? beneath, VolumeRequest request)
    {
        string file = Path.Combine(request.Folder, "export");
        ServerProcess? server = null;
        try
        {
            System.IO.File.WriteAllBytes(file, []);
            string protocol = beneath is null ? $"driver=file,node-name=image,filename={Escape(image)}" : $"driver=nbd,node-name=image,server.type=unix,server.path={Escape(beneath.Socket)}";
            server = ServerProcess.Start(Program, [
                "--blockdev", protocol, "--blockdev", $"driver={format},node-name=disk,file=image",
                "--export", $"type=fuse,id=export,node-name=disk,mountpoint={Escape(file)},writable=on"]);
            server.WaitUntil(_ => IsMounted(file), request.Cancel);
            return new QemuExport(server, file, beneath);
        }
        catch
        {
            server?.Dispose();
            _ = FuseCalls.Unmount(file, FuseCalls.UnmountDetach);
            beneath?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Close()
    {
        _server.Stop();
        _final = _beneath?.Counts;
        _beneath?.Close();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _server.Dispose();
        _ = FuseCalls.Unmount(File, FuseCalls.UnmountDetach);
        _beneath?.Dispose();
    }

    private static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);

    private static bool IsMounted(string file) => System.IO.File.ReadLines("/proc/self/mountinfo").Any(line => line.Split(' ')[4] == file);
}
