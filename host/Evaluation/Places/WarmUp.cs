using System.Diagnostics;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>Short appends and overwrites, synced one by one, before anything is timed.</summary>
internal static class WarmUp
{
    // The runtime compiles a method anew, with what it has learned, after 30 calls and a tenth of a second.
    private const int Operations = 400;
    private static readonly TimeSpan s_limit = TimeSpan.FromMilliseconds(400);

    /// <summary>In a file, which stays: what is appended afterwards must meet clusters that were never used.</summary>
    public static void InFolder(string folder, CancellationToken cancel)
    {
        using var file = new SyncedFile(Path.Combine(folder, "warm-up"), FileMode.CreateNew);
        OfFile(file, cancel);
    }

    /// <summary>In a new file of any kind.</summary>
    public static void OfFile(IRecordFile file, CancellationToken cancel)
    {
        byte[] data = new byte[Workload.BlockBytes];
        Repeat(i =>
        {
            file.Write(data.AsSpan(0, i % 2 == 0 ? data.Length : 4096), i / 4 * (long)data.Length);
            file.Sync();
        }, cancel);
    }

    /// <summary>At the end of a disk.</summary>
    public static void OnDisk(IBlockVolume disk, CancellationToken cancel)
    {
        using NbdClient client = disk.Connect();
        long start = disk.Length - ((long)Operations * Workload.BlockBytes);
        Repeat(i =>
        {
            client.Write(start + (i / 4 * (long)Workload.BlockBytes), i % 2 == 0 ? Workload.BlockBytes : 4096);
            client.Flush();
        }, cancel);
    }

    private static void Repeat(Action<int> operation, CancellationToken cancel)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations && Stopwatch.GetElapsedTime(start) < s_limit; i++)
        {
            cancel.ThrowIfCancellationRequested();
            operation(i);
        }
    }
}
