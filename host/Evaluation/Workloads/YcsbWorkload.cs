using System.Diagnostics;
using System.Globalization;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>YCSB's insert-only or update-only load, one client, over a real database on the volume.</summary>
/// <param name="database">Which.</param>
/// <param name="updates">Update-only over records that were inserted before; otherwise insert-only.</param>
internal sealed class YcsbWorkload(DatabaseEngine database, bool updates) : EvaluationWorkload
{
    /// <summary>Fields of a record, of YCSB; their size makes a record of 64 KiB, as the first paper's.</summary>
    internal const int Fields = 10, FieldBytes = (64 << 10) / Fields;

    // 5 GiB of records is the first paper's.
    private static readonly Scaled s_inserts = new(48, 1024, 5L << 14);
    private static readonly Scaled s_updates = new(96, 4096, 5L << 14);
    private static readonly Scaled s_loaded = new(64, 1024, 5L << 14);

    private Scaled Count => updates ? s_updates : s_inserts;

    public override WorkloadFacts Facts => new(
        $"ycsb-{(updates ? "update" : "insert")}-{database.Name}", $"YCSB {(updates ? "update" : "insert")}-only, {database.Title}",
        $"YCSB, 100 % {(updates ? "updates of one field of a record chosen by the scrambled zipfian distribution (0.99)" : "inserts")}, one client; records of {Fields} fields of {FieldBytes} bytes, 64 KiB in all, keys \"user\" and a hash; {database.Settings}; our implementation of YCSB's core workload",
        updates ? $"update of a field of {FieldBytes} bytes, committed" : "insert of a record of 64 KiB, committed");

    public override string? Lacks() => database.Lacks();

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => scale != EvaluationScale.Quick || (database.IsCheap && (regime == DeviceRegime.AsIs || !updates));

    // Database, log, and what a database keeps in reserve.
    public override long DiskBytes(WorkloadSize size) => database.FixedBytes + (((updates ? size.Operations(s_loaded) : 0) + size.Operations(Count)) * Fields * FieldBytes * 3);

    public override WorkloadResult Run(WorkloadRun run)
    {
        long operations = run.Size.Operations(Count), loaded = updates ? run.Size.Operations(s_loaded) : 0;
        var random = new Random(run.Round);
        using IKeyValueDatabase opened = database.Open(run.NewPath(this), run.Cancel);
        opened.Load(Enumerable.Range(0, (int)loaded).Select(record => (Key(record), Values(random))));
        var chosen = updates ? new ZipfianKeys(loaded, random) : null;
        long[] ticks = new long[operations];
        run.BeginTimed();
        long start = Stopwatch.GetTimestamp(), busy = 0;
        for (long i = 0; i < operations; i++)
        {
            // What is written is made outside of the time, as by a client that has it.
            byte[][] values = chosen is null ? Values(random) : [Value(random)];
            string key = Key(chosen?.Next() ?? i);
            int field = random.Next(Fields);
            long at = Stopwatch.GetTimestamp();
            if (chosen is null) opened.Insert(key, values);
            else opened.Update(key, field, values[0]);
            busy += ticks[i] = Stopwatch.GetTimestamp() - at;
            run.Cancel.ThrowIfCancellationRequested();
            if (Stopwatch.GetElapsedTime(start) > RunLimit) throw new DiagnosticException("SP4202", "the program failed", database.Name, found: $"{i} operations took longer than {RunLimit.TotalHours:0} hours");
        }

        run.EndTimed();
        return new WorkloadResult(operations, busy / (double)Stopwatch.Frequency, operations * FieldBytes * (updates ? 1 : Fields), LatencySamples.OfTicks(ticks));
    }

    /// <summary>YCSB's key of a record: the numbers in hashed order.</summary>
    internal static string Key(long record) => "user" + ZipfianKeys.Hash((ulong)record).ToString(CultureInfo.InvariantCulture);

    private static byte[][] Values(Random random) => [.. Enumerable.Range(0, Fields).Select(_ => Value(random))];

    private static byte[] Value(Random random)
    {
        byte[] value = new byte[FieldBytes];
        random.NextBytes(value);
        return value;
    }
}

/// <summary>A kind of database.</summary>
/// <param name="Name">As in names of workloads.</param>
/// <param name="Title">For headings.</param>
/// <param name="Settings">How durable it is, and how.</param>
/// <param name="IsCheap">Whether it can be made in milliseconds.</param>
/// <param name="FixedBytes">What an empty one takes.</param>
/// <param name="Lacks">Why there is none here; null when there is.</param>
/// <param name="Open">Makes one at a path of a volume and opens it.</param>
internal sealed record DatabaseEngine(string Name, string Title, string Settings, bool IsCheap, long FixedBytes, Func<string?> Lacks, Func<string, CancellationToken, IKeyValueDatabase> Open);
