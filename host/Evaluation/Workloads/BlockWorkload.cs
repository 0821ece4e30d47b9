using System.Security.Cryptography;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>One of <c>sphost compare</c>'s workloads: writes and flushes over NBD, one flush each write.</summary>
/// <param name="workload">Which; without a snapshot.</param>
/// <param name="index">Of all that run on one volume: each has an area of its own in each round.</param>
/// <param name="count">Of all.</param>
internal sealed class BlockWorkload(Workload workload, int index, int count) : EvaluationWorkload
{
    // Areas as long as what one L2 table maps, so that none begins in the middle of another's table.
    private static readonly Scaled s_operations = new(128, 2048, 5L << 14);

    public override WorkloadFacts Facts => new(
        $"nbd-{workload.Name}", $"NBD: {workload.Description}", $"{workload.Description}{(workload.Connections > 1 ? $" ({workload.Connections} connections)" : "")}; one flush for each write, one request at a time for each client",
        $"{workload.WriteBytes >> 10} KiB write and flush");

    public override long DiskBytes(WorkloadSize size) => AreaBytes(size);

    // What is not written is not there; a small write takes a cluster.
    public override long WrittenBytes(WorkloadSize size) => size.Operations(s_operations) * Workload.BlockBytes * (workload.IsWritten ? 2 : 1);

    public override WorkloadResult Run(WorkloadRun run)
    {
        var volume = (IBlockVolume)run.Volume;
        int operations = (int)run.Size.Operations(s_operations);
        long area = AreaBytes(run.Size), start = area * (((long)run.Round * count) + index) % (volume.Length / area * area);
        long[][] offsets = [.. workload.Offsets(operations, area, seed: run.Round).Select(each => (long[])[.. each.Select(offset => start + offset)])];
        var clients = new List<NbdClient>(offsets.Length);
        try
        {
            foreach (long[] _ in offsets)
            {
                clients.Add(volume.Connect());
                RandomNumberGenerator.Fill(clients[^1].Payload);
            }

            if (workload.IsWritten) Fill(clients[0], start, Workload.AreaBytes(operations), run.Cancel);
            run.BeginTimed();
            (long[] ticks, long elapsed) = LoadDriver.Time(clients, workload.WriteBytes, offsets, run.Cancel);
            volume.CountGuest(ticks.Length, (long)ticks.Length * workload.WriteBytes);
            run.EndTimed();
            return new WorkloadResult(ticks.Length, elapsed / (double)System.Diagnostics.Stopwatch.Frequency, (long)ticks.Length * workload.WriteBytes, LatencySamples.OfTicks(ticks));
        }
        finally
        {
            foreach (NbdClient client in clients) client.Dispose();
        }
    }

    private static void Fill(NbdClient client, long start, long bytes, CancellationToken cancel)
    {
        for (long offset = 0; offset < bytes; offset += Workload.BlockBytes)
        {
            cancel.ThrowIfCancellationRequested();
            client.Write(start + offset, Workload.BlockBytes);
        }

        client.Flush();
    }

    private static long AreaBytes(WorkloadSize size)
        => (Workload.AreaBytes((int)size.Operations(s_operations)) + Workload.TableBytes - 1) / Workload.TableBytes * Workload.TableBytes;
}
