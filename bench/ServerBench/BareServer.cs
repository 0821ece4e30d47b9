using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;

namespace StoragePlugins.ServerBench;

/// <summary>The NBD server over a <see cref="RawFileDisk"/>, in a process of its own: serves until its standard input ends, then prints its costs.</summary>
internal static class BareServer
{
    /// <summary>The hidden first argument that makes this program the server.</summary>
    public const string Verb = "bare-server";

    public static int Run(string image, string socket, bool nonBlocking)
    {
        using var disk = new ServedDisk("bench", new RawFileDisk(image, nonBlocking), new StorageMeter());
        using var server = new NbdServer([new NbdExport("", disk)], new NbdLimits(), NullLogger.Instance);
        server.Start(NbdListener.UnixSocket(socket));

        long before = GC.GetTotalAllocatedBytes(precise: true);
        while (Console.In.Read() >= 0)
        {
        }

        server.Stop(TimeSpan.FromSeconds(5));
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        MeterReading reading = disk.Meter.Read();
        Console.WriteLine(JsonSerializer.Serialize(new ServerCosts(allocated, reading.GuestReads + reading.GuestWrites + reading.GuestFlushes)));
        return 0;
    }
}

/// <summary>What a run of the bare server cost.</summary>
/// <param name="AllocatedBytes">By the garbage-collected heap, connections included.</param>
/// <param name="Requests">Guest requests answered.</param>
internal sealed record ServerCosts(long AllocatedBytes, long Requests);
