using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>The end of a mount: unmounted if it is not yet, then the image closed.</summary>
internal static class MountShutdown
{
    /// <summary>How long pages in the kernel, running requests and the last flush may take. A device that needs longer has failed.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    /// <summary>Ends it.</summary>
    /// <returns>False when the image could not be closed cleanly; the reason is logged.</returns>
    public static bool Run(FuseSession session, MountedImage image, MountPoint point, ILogger logger)
    {
        if (!session.Ended.WaitOne(0)) Unmount(session, image, point, logger);
        // Threads answer what comes from now on with an error: users of a mount that was only taken out of sight.
        if (session.Quiesce(Timeout)) return image.TryClose(Timeout);
        logger.LogError("SP4012: {Image}: requests were still running after {Seconds} s; the image is left as a crash would leave it", image.Image.Path, Timeout.TotalSeconds);
        image.Abandon();
        return false;
    }

    private static void Unmount(FuseSession session, MountedImage image, MountPoint point, ILogger logger)
    {
        switch (FuseMount.Unmount(point.Path))
        {
            case UnmountResult.Done:
                session.Ended.WaitOne(Timeout);
                return;
            case UnmountResult.Busy:
                // The pages that wait in the kernel first, through this very mount, then the image.
                bool written = WritePages(point.Path);
                bool flushed = written && image.TryFlush();
                logger.LogWarning("SP4037: {MountPoint} is in use: {What}, and it was detached; who uses it gets errors from now on", point.Path, flushed ? "everything written so far was made durable" : "not everything written so far could be made durable");
                break;
            default:
                logger.LogWarning("SP4037: {MountPoint} could not be unmounted and is detached", point.Path);
                break;
        }

        session.RefuseRequests();
        FuseMount.Detach(point.Path);
    }

    private static bool WritePages(string path)
    {
        bool written = false;
        var writing = new Thread(() =>
        {
            using SafeFileHandle root = FuseCalls.Open(path, FuseCalls.OpenDirectory | FuseCalls.OpenCloseOnExec);
            written = !root.IsInvalid && FuseCalls.SyncFileSystem(root) == 0;
        }) { IsBackground = true, Name = "write pages back" };
        writing.Start();
        return writing.Join(Timeout) && written;
    }
}
