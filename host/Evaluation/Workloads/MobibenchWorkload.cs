using System.Diagnostics;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Mobibench's file test, written anew from its definition (shell/mobibench.c): records in order, fsync after each, all in the time.</summary>
/// <param name="overwrites">Its mode 0 over a file that is long enough; otherwise mode 4, append to a file that was unlinked before.</param>
/// <param name="recordBytes">64 KiB is the first paper's, 4 KiB Mobibench's own.</param>
internal sealed class MobibenchWorkload(bool overwrites, int recordBytes) : EvaluationWorkload
{
    private const int PrepareBytes = 1 << 20;

    // 5 GiB of 64 KiB is the first paper's.
    private static readonly Scaled s_records = new(64, 1024, 5L << 14);

    private string Direction => overwrites ? "overwrite" : "append";

    private string Record => $"{recordBytes >> 10} KiB";

    public override WorkloadFacts Facts => new(
        $"mobibench-{Direction}-{recordBytes >> 10}k", $"Mobibench {Direction}, {Record}",
        $"Mobibench {(overwrites ? "-a 0 (sequential write over a file that was written and synced before)" : "-a 4 (append to a new file)")} -y 2 (fsync after each record) -r {recordBytes >> 10}, one thread, records of one constant; our implementation of its definition",
        $"{Record} write and fsync");

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => regime == DeviceRegime.AsIs || recordBytes > 4096 || scale != EvaluationScale.Quick;

    public override long DiskBytes(WorkloadSize size) => size.Operations(s_records) * recordBytes;

    public override WorkloadResult Run(WorkloadRun run)
    {
        long records = run.Size.Operations(s_records);
        string path = run.NewPath(this);
        byte[] record = new byte[recordBytes];
        Array.Fill(record, (byte)0x5a);
        if (overwrites) Prepare(path, records * recordBytes, run.Cancel);
        using var file = new SyncedFile(path, overwrites ? FileMode.Open : FileMode.CreateNew);
        long[] ticks = new long[records];
        run.BeginTimed();
        long start = Stopwatch.GetTimestamp(), previous = start;
        for (long i = 0; i < records; i++)
        {
            file.Write(record, i * recordBytes);
            file.Sync();
            long now = Stopwatch.GetTimestamp();
            ticks[i] = now - previous;
            previous = now;
            run.Cancel.ThrowIfCancellationRequested();
        }

        run.EndTimed();
        return new WorkloadResult(records, Stopwatch.GetElapsedTime(start, previous).TotalSeconds, records * recordBytes, LatencySamples.OfTicks(ticks));
    }

    /// <summary>Writes a file that is to be overwritten, and syncs it.</summary>
    internal static void Prepare(string path, long bytes, CancellationToken cancel)
    {
        using var file = new SyncedFile(path, FileMode.CreateNew);
        byte[] data = new byte[PrepareBytes];
        for (long offset = 0; offset < bytes; offset += data.Length)
        {
            cancel.ThrowIfCancellationRequested();
            file.Write(data.AsSpan(0, (int)Math.Min(data.Length, bytes - offset)), offset);
        }

        file.Sync();
    }
}
