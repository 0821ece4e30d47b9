using System.Globalization;
using System.Text.RegularExpressions;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>GNU dd, the real one, by its own clock.</summary>
/// <param name="overwrites">Over a file that was written before, or to a new one.</param>
/// <param name="syncsEachBlock"><c>oflag=dsync</c>: every block is durable when its write returns. Otherwise <c>conv=fdatasync</c>: one fdatasync at the end.</param>
internal sealed partial class DdWorkload(bool overwrites, bool syncsEachBlock) : EvaluationWorkload
{
    private const int BlockBytes = 64 << 10;

    // 5 GiB in blocks of 64 KiB is the first paper's.
    private static readonly Scaled s_syncedBlocks = new(128, 1024, 5L << 14);
    private static readonly Scaled s_streamedBlocks = new(256, 8192, 5L << 14);

    private string Direction => overwrites ? "overwrite" : "append";

    private string Durability => syncsEachBlock ? "oflag=dsync" : "conv=fdatasync";

    public override WorkloadFacts Facts => new(
        $"dd-{Direction}-{(syncsEachBlock ? "dsync" : "fdatasync")}", $"dd {Direction}, {Durability}",
        $"GNU dd if=/dev/zero bs=64K {(overwrites ? "conv=notrunc over a file that was written and synced before" : "to a new file")}, {Durability}; the time is dd's own",
        syncsEachBlock ? "64 KiB write, durable on return" : "64 KiB write; one fdatasync at the end of all");

    public override string? Lacks() => Programs.FirstMissing("dd") is null ? null : "dd is not installed";

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => regime == DeviceRegime.AsIs || syncsEachBlock || scale != EvaluationScale.Quick;

    public override long DiskBytes(WorkloadSize size) => Blocks(size) * BlockBytes;

    public override WorkloadResult Run(WorkloadRun run)
    {
        string file = run.NewPath(this);
        long blocks = Blocks(run.Size);
        if (overwrites)
        {
            Dd(run, file, blocks, "conv=fdatasync");
            run.Rest();
        }

        run.BeginTimed();
        double seconds = Dd(run, file, blocks, (overwrites, syncsEachBlock) switch
        {
            (true, true) => "conv=notrunc oflag=dsync",
            (true, false) => "conv=notrunc,fdatasync",
            (false, true) => "oflag=dsync",
            _ => "conv=fdatasync",
        });
        run.EndTimed();
        return new WorkloadResult(blocks, seconds, blocks * BlockBytes, Latencies: null);
    }

    /// <summary>The time that dd says it took.</summary>
    internal static double SecondsOf(string errors) => Seconds().Match(errors) is { Success: true } match
        ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)
        : throw Programs.Failed("dd", [], $"it does not say how long it took: {errors.Trim().ReplaceLineEndings(" ")}");

    private long Blocks(WorkloadSize size) => size.Operations(syncsEachBlock ? s_syncedBlocks : s_streamedBlocks);

    private static double Dd(WorkloadRun run, string file, long blocks, string how) => SecondsOf(
        run.RunProgram("dd", ["if=/dev/zero", $"of={file}", "bs=64K", $"count={blocks}", .. how.Split(' ')], RunLimit).Errors);

    [GeneratedRegex(@" copied, ([0-9.e+-]+) s, ")]
    private static partial Regex Seconds();
}
