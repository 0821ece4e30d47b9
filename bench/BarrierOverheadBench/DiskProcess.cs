using System.Text.Json;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Exports.Fuse;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A process that shows one image as a file, as <c>sphost mount</c> does, and says what it counted whenever it is asked.</summary>
/// <remarks>A line on standard input asks; its end, also that of a killed bench, ends the mount.</remarks>
internal static class DiskProcess
{
    /// <summary>The verb of the process.</summary>
    public const string Verb = "disk-process";

    /// <summary>What it says when it can be used.</summary>
    public const string Ready = "mounted";

    // As many as `sphost mount` has for disks.
    private const int Threads = 8;

    public static int Run(string image, string directory, string configuration, string pipeline)
    {
        // Ctrl-C on the terminal is the bench's to handle: it closes standard input in its own time.
        Console.CancelKeyPress += (_, press) => press.Cancel = true;
        var logger = new ConsoleLogger(Console.Error);
        using HostSession host = HostSession.Open([], configuration, logger);
        host.RequireValidConfiguration();
        MountPoint point = MountPoint.Prepare(directory, mayHaveEntries: false, logger);
        using var mounted = new MountedImage(host.Composer.Open(host.Composer.Choose(pipeline, image), image, readOnly: false), logger);
        using var session = new FuseSession(FuseMount.Mount(point, image, new MountOptions()), mounted.Tree, new FuseSessionOptions(Threads, WritebackCache.Off), logger);
        session.Start();
        Console.WriteLine(Ready);
        while (Console.ReadLine() is not null) Console.WriteLine(JsonSerializer.Serialize(Counts.Of(mounted.Image.Meter)));
        return MountShutdown.Run(session, mounted, point, logger) ? 0 : 1;
    }
}
