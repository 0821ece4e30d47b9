using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Serving;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>An image that is mounted: its own tree of files where it has one, its disks as files otherwise.</summary>
/// <remarks>Opened and closed by one thread.</remarks>
internal sealed class MountedImage : IDisposable
{
    private const int SectorBytes = 512;
    private const uint OwnerOnly = 0x180; // rw-------

    private readonly ILogger _logger;
    private readonly DiskTree? _disks;
    private bool _isStuck;

    /// <param name="image">Disposed with this object.</param>
    /// <param name="logger">Failures.</param>
    /// <exception cref="DiagnosticException">Its disks cannot be opened.</exception>
    public MountedImage(OpenedImage image, ILogger logger)
    {
        (Image, _logger) = (image, logger);
        if (image.Image.GetCapability<IFileTree>() is { } tree)
        {
            Tree = new MountedTree(tree, image.Meter);
            return;
        }

        IVirtualDisk live = image.Image.OpenDisk("");
        _disks = new DiskTree(new ServedDisk(image.Path, live, image.Meter, logger), live.GetCapability<IResizableDisk>(), new SnapshotDirectory(image, logger), OwnerOf(image.Path), () => AllocatedBytes(image.Path));
        // The disks count what they are asked for themselves.
        Tree = new MountedTree(_disks, meter: null);
    }

    /// <summary>The image.</summary>
    public OpenedImage Image { get; }

    /// <summary>What is mounted.</summary>
    public MountedTree Tree { get; }

    /// <summary>Whether the image is shown as disks.</summary>
    public bool IsDisk => _disks is not null;

    /// <summary>Why durability is lost; null while it is not.</summary>
    public DurabilityLostException? Poison => _disks?.Poison;

    /// <summary>Makes everything durable that was written.</summary>
    /// <returns>False when it cannot; the reason is logged.</returns>
    public bool TryFlush()
    {
        if (Image.IsReadOnly) return true;
        try
        {
            return Tree.Tree.Flush(Tree.Tree.RootNode) == FileError.None;
        }
        catch (StorageException failure)
        {
            _logger.LogError("SP4013: {Image}: it could not be flushed: {Reason}", Image.Path, failure.Message);
            return false;
        }
    }

    /// <summary>Waits for what runs, commits, flushes and closes. No thread of the session is to call the tree any more.</summary>
    /// <returns>False when it could not be closed cleanly; the reason is logged.</returns>
    public bool TryClose(TimeSpan timeout)
    {
        if (_disks?.Quiesce(timeout) is false)
        {
            _logger.LogError("SP4012: {Disk}: requests were still running after {Seconds} s; the image is left as a crash would leave it", Image.Path, timeout.TotalSeconds);
            _isStuck = true;
            return false;
        }

        CloseResult result = CleanClose.Try(Image, Image.Path, _disks?.Poison, _logger);
        _isStuck = result == CloseResult.Hangs;
        return result == CloseResult.Closed;
    }

    /// <summary>The image is left as a crash would leave it: a request still runs in it.</summary>
    public void Abandon() => _isStuck = true;

    public void Dispose()
    {
        if (_isStuck) return;
        _disks?.Dispose();
        Image.Dispose();
    }

    // A device's node, or one of a medium without a file, is its user's alone.
    private static unsafe ImageOwner OwnerOf(string path)
    {
        FuseCalls.StatXBuffer status;
        return FuseCalls.StatX(FuseCalls.StatXBuffer.CurrentDirectory, path, 0, FuseCalls.StatXBuffer.BasicMask, &status) == 0
            ? new ImageOwner(status.UserId, status.GroupId, status.Mode & FuseProtocol.PermissionMask)
            : new ImageOwner(Media.UnixFile.EffectiveUserId, FuseCalls.EffectiveGroupId(), OwnerOnly);
    }

    private static unsafe long AllocatedBytes(string path)
    {
        FuseCalls.StatXBuffer status;
        return FuseCalls.StatX(FuseCalls.StatXBuffer.CurrentDirectory, path, 0, FuseCalls.StatXBuffer.BasicMask, &status) == 0 ? (long)status.Sectors * SectorBytes : 0;
    }
}
