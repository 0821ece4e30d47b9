using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Serving;

/// <summary>How a close ended.</summary>
internal enum CloseResult
{
    /// <summary>Committed, durable, plain.</summary>
    Closed = 0,

    /// <summary>Not: the image needs recovery, and may be let go of.</summary>
    Failed,

    /// <summary>It still runs; the image is the process's to let go of.</summary>
    Hangs,
}

/// <summary>The clean end of an image that was served, within a time.</summary>
internal static class CleanClose
{
    /// <summary>A close commits, checkpoints and flushes. What takes longer hangs.</summary>
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    /// <summary>Commits, flushes and closes an image that nobody uses any more.</summary>
    /// <param name="image">The image; not disposed.</param>
    /// <param name="name">For the thread.</param>
    /// <param name="poison">Why durability is lost, if it is: then nothing is closed, for a clean end would throw away what a recovery needs.</param>
    /// <param name="logger">Is told the reason of a failure.</param>
    public static CloseResult Try(OpenedImage image, string name, DurabilityLostException? poison, ILogger logger)
    {
        if (poison is not null)
        {
            logger.LogError("SP4013: {Image}: durability was lost ({Reason}); it is left as a crash would leave it: open it again to recover it", image.Path, poison.Message);
            return CloseResult.Failed;
        }

        Exception? failure = null;
        var closing = new Thread(() =>
        {
            try
            {
                image.Image.Close();
            }
            catch (Exception e)
            {
                failure = e;
            }
        }) { IsBackground = true, Name = $"close {name}" };
        closing.Start();
        if (!closing.Join(s_timeout))
        {
            logger.LogError("SP4027: {Image}: pipeline {Pipeline} has not closed it after {Seconds} s; it is left as a crash would leave it", image.Path, image.Pipeline.Name, s_timeout.TotalSeconds);
            return CloseResult.Hangs;
        }

        if (failure is null) return CloseResult.Closed;
        string reason = failure is StorageException or DiagnosticException ? failure.Message : $"{failure.GetType().Name}: {failure.Message} ({PluginBlame.Of(failure)})";
        logger.LogError("SP4013: {Image}: it could not be closed cleanly: {Reason}; open it again to recover it", image.Path, reason);
        return CloseResult.Failed;
    }
}
