using System.Globalization;
using System.Text.Json;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>fio, the real one: its own times and latencies.</summary>
/// <param name="isJournal">Small appends with a sync each, as a journal writes; otherwise many writers at once all over a file, past the cache, as a database does.</param>
internal sealed class FioWorkload(bool isJournal) : EvaluationWorkload
{
    private const int JournalBytes = 4 << 10, DatabaseBytes = 16 << 10;

    // A database is larger than what is written of it.
    private const int AreaFactor = 2;

    private static readonly Scaled s_journalWrites = new(128, 4096, 65536);
    private static readonly Scaled s_databaseWrites = new(512, 8192, 65536);

    private Scaled Writes => isJournal ? s_journalWrites : s_databaseWrites;

    private int BlockBytes => isJournal ? JournalBytes : DatabaseBytes;

    private string Options => isJournal ? "rw=write bs=4k ioengine=psync fdatasync=1" : "rw=randwrite bs=16k ioengine=libaio iodepth=32 direct=1";

    public override WorkloadFacts Facts => isJournal
        ? new("fio-journal", "fio, like a journal", $"fio {Options} to a new file; latency: of fdatasync, by fio", "4 KiB write and fdatasync")
        : new("fio-db", "fio, like a database", $"fio {Options} over a file that was written and synced before, twice as long as what is written; latency: of the writes, by fio", "16 KiB write past the cache, not synced");

    public override string? Lacks() => Programs.FirstMissing("fio") is null ? null : "fio is not installed";

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => regime == DeviceRegime.AsIs || scale != EvaluationScale.Quick;

    public override long DiskBytes(WorkloadSize size) => Length(size) * (isJournal ? 1 : AreaFactor);

    public override WorkloadResult Run(WorkloadRun run)
    {
        string file = run.NewPath(this);
        if (!isJournal)
        {
            MobibenchWorkload.Prepare(file, Length(run.Size) * AreaFactor, run.Cancel);
            run.Rest();
        }

        string[] arguments =
        [
            "--name=evaluate", $"--filename={file}", "--output-format=json+", "--thread", "--randseed=1", "--norandommap", "--eta=never",
            .. Options.Split(' ').Select(option => "--" + option), $"--io_size={Length(run.Size)}", $"--size={Length(run.Size) * (isJournal ? 1 : AreaFactor)}", .. isJournal ? (string[])["--fallocate=none"] : [],
        ];
        run.BeginTimed();
        ProgramOutput output = run.RunProgram("fio", arguments, RunLimit);
        run.EndTimed();
        return Read(output.Output, isJournal);
    }

    /// <summary>What fio says in <c>json+</c>.</summary>
    /// <param name="text">Its output.</param>
    /// <param name="ofSync">Take the latencies of syncs rather than of writes.</param>
    internal static WorkloadResult Read(string text, bool ofSync)
    {
        using JsonDocument report = JsonDocument.Parse(text[text.IndexOf('{', StringComparison.Ordinal)..]);
        JsonElement job = report.RootElement.GetProperty("jobs")[0], write = job.GetProperty("write");
        if (job.GetProperty("error").GetInt32() is not 0 and var error) throw Programs.Failed("fio", [], $"error {error}");
        var latencies = new LatencySamples();
        JsonElement nanoseconds = ofSync ? job.GetProperty("sync").GetProperty("lat_ns") : write.GetProperty("clat_ns");
        if (nanoseconds.TryGetProperty("bins", out JsonElement bins))
        {
            foreach (JsonProperty bin in bins.EnumerateObject()) latencies.Add(double.Parse(bin.Name, CultureInfo.InvariantCulture) / 1e3, bin.Value.GetInt64());
        }

        long operations = write.GetProperty("total_ios").GetInt64();
        double seconds = write.GetProperty("runtime").GetInt64() / 1e3;
        return new WorkloadResult(operations, seconds, write.GetProperty("io_bytes").GetInt64(), latencies.Count == 0 ? null : latencies);
    }

    private long Length(WorkloadSize size) => size.Operations(Writes) * BlockBytes;
}
