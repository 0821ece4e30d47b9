using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Tests.Shared;

/// <summary>A record of a run that never was, for tests of what is drawn from it. Its figures are made up, plausibly, by a fixed sequence; none is a measurement.</summary>
internal static class SampleEvaluation
{
    private const int Rounds = 3;
    private const int Samples = 2000;
    private const string Baseline = "qemu-qcow2";
    private const string RamDisk = "ext4-ramdisk";

    // Milliseconds an operation of the baseline; how much faster the pipelines are; whether operations can be timed; payload.
    private static readonly (WorkloadFacts Facts, double Milliseconds, double[] SpeedUps, bool HasLatency, long? Bytes)[] s_workloads =
    [
        (new("dd-append-dsync", "GNU dd, append, O_DSYNC", "dd if=/dev/zero bs=64k count=256 oflag=dsync to a new file. The first paper’s workload, which wrote 5 GB.", "64 KiB write, durable on return"), 6.3, [4.1, 1.15, 1.9, 5.6], false, 65536),
        (new("dd-append-fdatasync", "GNU dd, append, one fdatasync", "dd if=/dev/zero bs=64k count=2048 conv=fdatasync to a new file.", "64 KiB write; one fdatasync ends the run"), 0.11, [1.05, 1.02, 0.99, 1.2], false, 65536),
        (new("dd-overwrite-dsync", "GNU dd, overwrite, O_DSYNC", "dd bs=64k oflag=dsync conv=notrunc over a file that was written before.", "64 KiB write, durable on return"), 0.78, [1.42, 1.38, 1.35, 1.61], false, 65536),
        (new("mobibench-append", "Mobibench, append", "Mobibench -a 4 -y 8 -r 64: each record of 64 KiB is followed by fdatasync; the file is removed first.", "64 KiB write and fdatasync"), 5.1, [2.9, 1.2, 1.7, 3.8], true, 65536),
        (new("mobibench-overwrite", "Mobibench, overwrite", "Mobibench -a 0 -y 8 -r 64 over a file that exists.", "64 KiB write and fdatasync"), 0.81, [1.31, 1.0, 0.96, 1.52], true, 65536),
        (new("varmail", "Filebench varmail", "1000 files of 16 KiB on average, 16 threads, 64 KiB a call; two fsyncs in thirteen steps.", "one of varmail’s thirteen steps"), 1.9, [2.3, 1.1, 1.6, 2.8], true, null),
        (new("ycsb-insert", "YCSB insert-only, SQLite", "Records of 64 KB, one transaction each, journal_mode=WAL, synchronous=FULL.", "one record inserted and committed"), 7.4, [1.9, 1.08, 1.3, 2.2], true, 65536),
        (new("fillsync", "db-style fillsync", "Keys of 16 bytes, values of 100, appended to a log with fdatasync after each.", "116 bytes and fdatasync"), 2.6, [2.4, 1.05, 1.4, 4.9], true, 116),
    ];

    private static readonly string[] s_pipelines = ["qcow2-journal", "qcow2-ordered", "qcow2-barrier", "qcow2-pm"];

    /// <summary>A whole run.</summary>
    public static EvaluationReport Report { get; } = Create();

    private static EvaluationReport Create() => new()
    {
        Started = new DateTime(2026, 3, 14, 9, 26, 0, DateTimeKind.Utc),
        TookSeconds = 161.4,
        Command = "sphost evaluate --scale quick --rounds 3 --slow-flush 5ms --report report.html",
        Scale = "quick",
        Rounds = Rounds,
        SlowFlushMicroseconds = 5000,
        IsInterrupted = false,
        Host = new HostFacts
        {
            Machine = "sample",
            Processor = "A processor of this fixture @ 2.50GHz",
            Processors = 2,
            MemoryBytes = 16L << 30,
            Kernel = "Linux 6.1.0-sample #1 SMP Debian",
            System = "Debian GNU/Linux 12 (bookworm)",
            Directory = "/var/tmp/sphost-evaluate",
            FileSystem = "ext4",
            Device = "/dev/vda",
            DeviceCache = WriteCacheKind.Volatile,
            OverwriteFlushMicroseconds = 212.4,
            AppendFlushMicroseconds = 1140,
        },
        Versions = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["sphost"] = "1.0.0", ["dotnet"] = "10.0.0", ["qemu-storage-daemon"] = "7.2.13", ["dd"] = "9.1", ["SQLite"] = "3.40.1",
        },
        Contenders =
        [
            new(Baseline, "qemu-storage-daemon, its own qcow2 driver, exported by FUSE", IsReference: true),
            new("qcow2-journal", "qcow2 with a journal inside the image: one fdatasync a guest flush", IsReference: false, IsDefault: true),
            new("qcow2-ordered", "qcow2 as QEMU keeps it: an fdatasync wherever order matters", IsReference: false),
            new("qcow2-barrier", "qcow2 as QEMU keeps it, a barrier where order matters; one fdatasync a guest flush for durability", IsReference: false),
            new("qcow2-pm", "qcow2 with a journal in persistent memory: metadata and short writes cost no fdatasync", IsReference: false),
            new(RamDisk, "ext4, ordered mode, on a RAM disk", IsReference: true),
            new("pmfs", "a file system in mapped persistent memory: every call is durable when it returns", IsReference: false),
        ],
        Workloads = [.. s_workloads.Select(workload => workload.Facts), .. MatrixCells().Select(cell => cell.Facts)],
        Rows = [.. Rows(EvaluationPlace.BlockDevice, DeviceRegime.AsIs, [7]), .. Rows(EvaluationPlace.GuestFileSystem, DeviceRegime.AsIs, [0, 1, 2, 3, 4, 5, 6]),
            .. Rows(EvaluationPlace.GuestFileSystem, DeviceRegime.SlowFlush, [0, 2, 3, 5]), .. Rows(EvaluationPlace.VirtualMachine, DeviceRegime.AsIs, [0, 2]), .. MatrixRows()],
        Papers =
        [
            new("QCOW2 sync amplification", "dd append", "QEMU(Barrier) against QEMU, throughput", 81.1, "qcow2-barrier against qemu-qcow2, guest file system, device as it is", 90.4, new(78, 101), ""),
            new("QCOW2 sync amplification", "dd overwrite", "QEMU(Barrier) against QEMU, throughput", 4.5, "qcow2-barrier against qemu-qcow2, guest file system, device as it is", 35.2, new(29, 38), "Our FUSE server answers an overwrite with one fdatasync and no lookups of tables; a modern QEMU’s stands in one thread."),
            new("QCOW2 sync amplification", "Mobibench append", "QEMU(Barrier) against QEMU, throughput", 4.7, "qcow2-barrier against qemu-qcow2, guest file system, device as it is", 68.8, new(61, 75), "A modern QEMU issues half the flushes of 2.1.2, but each costs a commit of the host’s journal here."),
            new("QCOW2 sync amplification", "Mobibench overwrite", "QEMU(Barrier) against QEMU, throughput", -2.7, "qcow2-barrier against qemu-qcow2, guest file system, device as it is", -4.1, new(-6.2, -1.9), "Nothing is ordered by an overwrite: what remains is the barrier path’s own cost."),
            new("QCOW2 sync amplification", "YCSB update", "QEMU(Barrier) against QEMU, throughput", 0.6, "not in this run", null, null, "PostgreSQL is not installed."),
            new("In-memory metadata journaling", "IOzone write, mean", "the scheme against ext4 on a RAM disk", 49.2, "pmfs against ext4 on a RAM disk", 61.0, new(55, 64), "The scheme runs in the caller’s address space here."),
            new("In-memory metadata journaling", "IOzone write, best cell", "the scheme against ext4 on a RAM disk", 131.5, "pmfs against ext4 on a RAM disk", 212, new(180, 240), "Small records are cheaper without a system call."),
        ],
        Notes =
        [
            "left out: PostgreSQL: it is not installed (apt-get install postgresql)",
            "left out: virtual machine with slow flushes: it would take longer than the scale allows",
            "qemu-qcow2: flushes were counted in a pass of its own on an NBD export of this process",
        ],
    };

    private static IEnumerable<EvaluationRow> Rows(EvaluationPlace place, DeviceRegime regime, int[] workloads)
    {
        var random = new Random(1000 * (int)place + (int)regime);
        foreach (int index in workloads)
        {
            (WorkloadFacts facts, double milliseconds, double[] speedUps, bool hasLatency, long? bytes) = s_workloads[index];
            double slower = regime == DeviceRegime.SlowFlush ? milliseconds + 14 : milliseconds;
            bool isCounted = place != EvaluationPlace.VirtualMachine;
            yield return Row(place, regime, facts.Name, Baseline, slower, 1, hasLatency, bytes, isCounted ? new(1, 3.02, 0, 2.4, 0, "a pass of its own") : null, random);
            for (int pipeline = 0; pipeline < s_pipelines.Length; pipeline++)
            {
                double barriers = pipeline == 2 ? 2 : 0;
                var costs = new AmplificationFigures(1, pipeline == 1 ? 2.98 : 1.01, barriers, 1.08 + pipeline * 0.2, pipeline * 0.5, "the disk’s own meter");
                yield return Row(place, regime, facts.Name, s_pipelines[pipeline], slower, speedUps[pipeline], hasLatency, bytes, isCounted ? costs : null, random);
            }
        }
    }

    private static IEnumerable<(WorkloadFacts Facts, double Microseconds, double SpeedUp, long Bytes)> MatrixCells()
        => from file in (int[])[64, 1024, 16384, 524288]
           from record in (int[])[4, 64, 1024, 16384]
           where record <= file
           select (new WorkloadFacts($"iozone-{file}k-{record}k", $"IOzone write, file {Size(file)}, record {Size(record)}", $"iozone -i 0 -s {file} -r {record}", $"a write of {Size(record)}"),
               2 + record * 0.25, 1.2 + 8.0 / (record + 4), record * 1024L);

    private static string Size(int kib) => kib < 1024 ? $"{kib} KiB" : $"{kib / 1024} MiB";

    private static IEnumerable<EvaluationRow> MatrixRows()
    {
        var random = new Random(5);
        foreach ((WorkloadFacts facts, double microseconds, double speedUp, long bytes) in MatrixCells())
        {
            yield return Row(EvaluationPlace.MemoryFileSystem, DeviceRegime.AsIs, facts.Name, RamDisk, microseconds / 1000, 1, true, bytes, null, random);
            yield return Row(EvaluationPlace.MemoryFileSystem, DeviceRegime.AsIs, facts.Name, "pmfs", microseconds / 1000, speedUp, true, bytes, null, random);
        }
    }

    private static EvaluationRow Row(
        EvaluationPlace place, DeviceRegime regime, string workload, string contender, double milliseconds, double speedUp, bool hasLatency, long? bytes, AmplificationFigures? costs, Random random)
    {
        bool isReference = contender is Baseline or RamDisk;
        EvaluationRound[] rounds = [.. Enumerable.Range(0, Rounds).Select(_ => new EvaluationRound(Samples, Samples * milliseconds / 1000 / speedUp * (0.96 + 0.08 * random.NextDouble()), bytes * Samples))];
        double[] rates = [.. rounds.Select(round => round.OperationsPerSecond).Order()];
        double median = rates[Rounds / 2];
        return new EvaluationRow
        {
            Place = place,
            Regime = regime,
            Workload = workload,
            Contender = contender,
            Rounds = rounds,
            OperationsPerSecond = median,
            BytesPerSecond = bytes * median,
            Spread = (rates[^1] - rates[0]) / median,
            SpeedUp = isReference ? 1 : speedUp,
            SpeedUpRange = isReference ? new(1, 1) : new(speedUp * 0.955, speedUp * 1.03),
            Latency = hasLatency ? Latency(1000 * milliseconds / speedUp, random) : null,
            Amplification = costs,
        };
    }

    /// <summary>Latencies around a median, with a tail.</summary>
    /// <param name="median">In µs.</param>
    /// <param name="random">Of which they are made.</param>
    public static LatencyFigures Latency(double median, Random random)
    {
        // A logarithm of a uniform number falls off as a tail does; few operations are ten times as slow.
        double[] sorted = [.. Enumerable.Range(0, Samples)
            .Select(_ => median * (0.8 + 0.29 * -Math.Log(1 - random.NextDouble())) * (random.Next(150) == 0 ? 6 : 1)).Order()];
        double At(double fraction) => sorted[Math.Min(Samples - 1, (int)Math.Ceiling(fraction * Samples) - 1)];
        LatencyBucket[] buckets = [.. sorted.GroupBy(value => Math.Ceiling(4 * Math.Log2(value))).OrderBy(bucket => bucket.Key).Select(bucket => new LatencyBucket(Math.Pow(2, bucket.Key / 4), bucket.Count()))];
        return new LatencyFigures(At(0.5), At(0.9), At(0.99), At(0.999), sorted[^1], buckets);
    }
}
