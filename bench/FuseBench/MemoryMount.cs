using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Tests;

namespace StoragePlugins.FuseBench;

/// <summary>A tree in this process's memory, mounted until it is unmounted: what the mount itself costs, without formats and media.</summary>
internal static class MemoryMount
{
    /// <summary>The verb of the process that serves.</summary>
    public const string Verb = "memory-mount";

    public static int Run(string directory, int threads)
    {
        var tree = new MountedTree(new MemoryTree(), meter: null);
        MountPoint point = MountPoint.Prepare(directory, mayHaveEntries: false, NullLogger.Instance);
        using var session = new FuseSession(FuseMount.Mount(point, "memory", new MountOptions()), tree, new FuseSessionOptions(threads), NullLogger.Instance);
        session.Start();
        Console.WriteLine("mounted");
        session.Ended.WaitOne();
        return 0;
    }
}
