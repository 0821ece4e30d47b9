using System.Diagnostics;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Mobibench's file test, written anew from its definition (shell/mobibench.c): a sync after each record, all in the time.</summary>
/// <remarks>With 64 KiB it is the first paper's: appends in order, overwrites at random (each record once, shuffled), fdatasync. With 4 KiB, Mobibench's own record,
/// both are in order with fsync, so that the guest's own journal takes part.</remarks>
/// <param name="overwrites">Its modes 0 and 1 over a file that is long enough; otherwise mode 4, append to a file that was unlinked before.</param>
/// <param name="recordBytes">Of a record.</param>
internal sealed class MobibenchWorkload(bool overwrites, int recordBytes) : EvaluationWorkload
{
    private const int PrepareBytes = 1 << 20;

    // 5 GiB of 64 KiB is the first paper's.
    private static readonly Scaled s_records = new(128, 1024, 5L << 14);

    private bool IsPapers => recordBytes == 64 << 10;

    private string Mode => !overwrites ? "-a 4 (append to a new file)" : $"{(IsPapers ? "-a 1 (random" : "-a 0 (sequential")} write over a file that was written and synced before)";

    private string Sync => IsPapers ? "-y 8 (fdatasync after each record)" : "-y 2 (fsync after each record)";

    private string Direction => overwrites ? "overwrite" : "append";

    private string Record => $"{recordBytes >> 10} KiB";

    public override WorkloadFacts Facts => new(
        $"mobibench-{Direction}-{recordBytes >> 10}k", $"Mobibench {Direction}, {Record}",
        $"Mobibench {Mode} {Sync} -r {recordBytes >> 10}, one thread, records of one constant{(IsPapers ? ", as in the paper" : "")}; our implementation of its definition",
        $"{Record} write and {(IsPapers ? "fdatasync" : "fsync")}");

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => regime == DeviceRegime.AsIs || recordBytes > 4096 || scale != EvaluationScale.Quick;

    public override long DiskBytes(WorkloadSize size) => size.Operations(s_records) * recordBytes;

    public override WorkloadResult Run(WorkloadRun run)
    {
        long records = run.Size.Operations(s_records);
        string path = run.NewPath(this);
        byte[] record = new byte[recordBytes];
        Array.Fill(record, (byte)0x5a);
        if (overwrites)
        {
            Prepare(path, records * recordBytes, run.Cancel);
            run.Rest();
        }

        using var file = new SyncedFile(path, overwrites ? FileMode.Open : FileMode.CreateNew);
        long[] ticks = new long[records];
        long[] order = [.. Enumerable.Range(0, checked((int)records)).Select(i => (long)i)];
        if (overwrites && IsPapers) new Random(run.Round).Shuffle(order);
        run.BeginTimed();
        long start = Stopwatch.GetTimestamp(), previous = start;
        for (long i = 0; i < records; i++)
        {
            file.Write(record, order[i] * recordBytes);
            if (IsPapers) file.SyncData();
            else file.Sync();
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
