using System.Diagnostics;
using System.Runtime.ExceptionServices;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Filebench's varmail, written anew from workloads/varmail.f: a mail server's spool, a file for each message, two syncs each time around.</summary>
internal sealed class VarmailWorkload : EvaluationWorkload
{
    /// <summary>Of the definition.</summary>
    internal const int Threads = 16, FlowopsALoop = 13, SyncsALoop = 2;

    /// <summary>Of the first paper; the definition has 1 MiB.</summary>
    private const int ReadBytes = 64 << 10;

    private const int MeanFileBytes = 16 << 10, MaxAppendBytes = 16 << 10;
    private const double FileShape = 1.5;
    private const double Preallocated = 0.8;

    // A thousand files is the definition's; they are made, and synced, before each run.
    private static readonly Scaled s_files = new(200, 1000, 1000);
    private static readonly Scaled s_loops = new(64, 2000, long.MaxValue);
    private static readonly TimeSpan s_paperTime = TimeSpan.FromSeconds(180);

    public override WorkloadFacts Facts => new(
        "varmail", "Filebench varmail",
        $"Filebench's varmail: {Threads} threads; each time around: delete; create, append, fsync; open, read, append, fsync; open, read. Files of 16 KiB on average (gamma, shape {FileShape}), 80 % made before; appends of up to 16 KiB; reads of 64 KiB as in the paper; 180 s at scale paper, else so many times around; our implementation of the flow",
        $"once around: {FlowopsALoop} of Filebench's operations, {SyncsALoop} of them fsync");

    public override long DiskBytes(WorkloadSize size) => size.Scale == EvaluationScale.Paper
        // So many times around as a device with 100 µs a sync could do.
        ? (long)(s_paperTime.TotalMilliseconds * 5) * MaxAppendBytes
        : (size.Operations(s_files) * MeanFileBytes) + (size.Operations(s_loops) * 2 * MaxAppendBytes);

    public override WorkloadResult Run(WorkloadRun run)
    {
        string folder = Directory.CreateDirectory(run.NewPath(this)).FullName;
        MailFiles files = Prepare(folder, (int)run.Size.Operations(s_files), run.Round, run.Cancel);
        long loops = run.Size.Operations(s_loops);
        TimeSpan limit = run.Size.Scale == EvaluationScale.Paper ? s_paperTime : RunLimit;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(run.Cancel);
        var times = new List<long>[Threads];
        ExceptionDispatchInfo? failure = null;
        long left = loops, start = 0;
        using var begin = new ManualResetEventSlim();
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(index => new Thread(() =>
        {
            var ticks = times[index] = [];
            var random = new Random((run.Round * Threads) + index);
            byte[] buffer = new byte[ReadBytes];
            begin.Wait();
            try
            {
                while (Interlocked.Decrement(ref left) >= 0 && !stop.IsCancellationRequested && Stopwatch.GetElapsedTime(start) < limit)
                {
                    long at = Stopwatch.GetTimestamp();
                    Loop(files, random, buffer);
                    ticks.Add(Stopwatch.GetTimestamp() - at);
                }
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
                stop.Cancel();
            }
        })
        { IsBackground = true, Name = $"varmail {index}" })];
        foreach (Thread thread in threads) thread.Start();
        try
        {
            run.BeginTimed();
        }
        finally
        {
            start = Stopwatch.GetTimestamp();
            begin.Set();
            foreach (Thread thread in threads) thread.Join();
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        run.EndTimed();
        failure?.Throw();
        run.Cancel.ThrowIfCancellationRequested();
        return new WorkloadResult(times.Sum(each => (long)each.Count), seconds, Bytes: null, LatencySamples.OfTicks(times.SelectMany(each => each)));
    }

    /// <summary>Makes the files that exist at first, and makes them durable.</summary>
    internal static MailFiles Prepare(string folder, int count, int seed, CancellationToken cancel)
    {
        var files = new MailFiles(folder, seed);
        var random = new Random(seed);
        var sizes = new GammaDistribution(MeanFileBytes, FileShape, random);
        byte[] data = new byte[MeanFileBytes];
        for (int name = 0; name < count; name++)
        {
            cancel.ThrowIfCancellationRequested();
            bool exists = name < count * Preallocated;
            if (exists)
            {
                using var file = new SyncedFile(files.PathOf(name), FileMode.CreateNew);
                long size = Math.Max(1, (long)sizes.Next());
                for (long offset = 0; offset < size; offset += data.Length) file.Write(data.AsSpan(0, (int)Math.Min(data.Length, size - offset)), offset);
            }

            files.Give(name, exists);
        }

        return files;
    }

    /// <summary>Once around.</summary>
    internal static void Loop(MailFiles files, Random random, byte[] buffer)
    {
        if (files.Take(exists: true) is { } deleted)
        {
            File.Delete(files.PathOf(deleted));
            files.Give(deleted, exists: false);
        }

        if (files.Take(exists: false) is { } created)
        {
            using (var file = new SyncedFile(files.PathOf(created), FileMode.CreateNew)) AppendAndSync(file, random, buffer);
            files.Give(created, exists: true);
        }

        if (files.Take(exists: true) is { } answered)
        {
            using (var file = new SyncedFile(files.PathOf(answered), FileMode.Open))
            {
                file.ReadWhole(buffer);
                AppendAndSync(file, random, buffer);
            }

            files.Give(answered, exists: true);
        }

        if (files.Take(exists: true) is { } read)
        {
            using (var file = new SyncedFile(files.PathOf(read), FileMode.Open)) file.ReadWhole(buffer);
            files.Give(read, exists: true);
        }
    }

    // Filebench's appendfilerand: as much as is drawn, evenly, up to the size given.
    private static void AppendAndSync(SyncedFile file, Random random, byte[] buffer)
    {
        file.Write(buffer.AsSpan(0, random.Next(1, MaxAppendBytes + 1)), file.Length);
        file.Sync();
    }
}
