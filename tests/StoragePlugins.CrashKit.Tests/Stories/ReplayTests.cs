using System.Text.Json.Nodes;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Fsync;

namespace StoragePlugins.CrashKit.Tests.Stories;

public sealed class ReplayTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("replay-").FullName;

    private static TestedPipeline Broken { get; } = BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation));

    private static TestedPipeline Right { get; } = BrokenStrategies.Ordered(new FDataSyncOrdering());

    private string Path => System.IO.Path.Combine(_folder, "failure.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_replay_repeats_the_verdict_and_tells_that_a_strategy_was_put_right()
    {
        CrashFailure found = BrokenStrategies.FailureOf(Broken, failure => failure.Invariant == Invariant.I3CheckIsClean);
        CrashFailure failure = Shrinker.Shrink(found).Failure;
        ReplayFile.Of(failure, "[pipelines.mine]").Save(Path);

        ReplayFile file = ReplayFile.Load(Path);
        Assert.Equal(("qcow2-ordered", "4 KiB clusters", "[pipelines.mine]", PersistenceModel.Disk, Invariant.I3CheckIsClean, 1, found.WorkloadIndex),
            (file.Pipeline, file.Variant, file.Configuration, file.Model, file.Invariant, file.Seed, file.WorkloadIndex));

        ReplayVerdict again = Replay.Run(Broken, file);
        Assert.True(again.StillFails);
        Assert.Contains("in the recorded state", again.Text, StringComparison.Ordinal);
        Assert.Equal((failure.Invariant, failure.Message), (again.Failure!.Invariant, again.Failure.Message));
        // What was read back tells the same story, and shrinks and heals like what was found.
        Assert.Equal(Story.Of(failure).Cuts[0].Requests, Story.Of(again.Failure).Cuts[0].Requests);
        Assert.Equal(Healer.Suggest(failure).Text, Healer.Suggest(again.Failure).Text);

        ReplayVerdict healed = Replay.Run(Right, file);
        Assert.False(healed.StillFails);
        Assert.Contains("other requests now", healed.Text, StringComparison.Ordinal);
        Assert.Null(healed.Failure);
    }

    [Fact]
    public void A_strategy_that_is_broken_otherwise_still_fails()
    {
        ReplayFile.Of(BrokenStrategies.FailureOf(Broken, failure => failure.Invariant == Invariant.I3CheckIsClean)).Save(Path);
        Assert.True(Replay.Run(BrokenStrategies.Ordered(new NoOrdering()), ReplayFile.Load(Path)).StillFails);
    }

    [Fact]
    public void Where_the_requests_depend_on_timing_nothing_is_called_healed()
    {
        CrashFailure found = BrokenStrategies.FailureOf(Broken, failure => failure.Invariant == Invariant.I3CheckIsClean);
        ReplayFile.Of(Shrinker.Shrink(found).Failure).Save(Path);

        ReplayVerdict verdict = Replay.Run(BrokenStrategies.Ordered(new Unsteady()), ReplayFile.Load(Path));

        Assert.True(verdict.StillFails);
        Assert.False(verdict.IsCertain);
        Assert.Contains("timing", verdict.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Tier.Continued)]
    [InlineData(Tier.Recovery)]
    public void A_failure_of_two_power_cuts_is_repeated_with_both(Tier tier)
    {
        TestedPipeline broken = tier == Tier.Continued ? BrokenStrategies.Ordered(new WithoutBarriersOnUsedImages()) : BrokenStrategies.Journaled(new WithoutSyncInRecovery());
        CrashFailure found = BrokenStrategies.FailureOf(broken, failure => failure.Tier == tier);
        CrashFailure failure = Shrinker.Shrink(found).Failure;
        ReplayFile.Of(failure).Save(Path);

        ReplayVerdict again = Replay.Run(broken, ReplayFile.Load(Path));

        Assert.True(again.StillFails);
        Assert.Equal(failure.Invariant, again.Failure!.Invariant);
        Assert.NotNull(failure.State!.Second);
        Assert.NotNull(again.Failure.State!.Second);
    }

    [Fact]
    public void What_goes_wrong_without_a_power_cut_is_repeated_by_running_it()
    {
        TestedPipeline losing = BrokenStrategies.Ordered(new LosingWrites(ContentClass.GuestData));
        ReplayFile.Of(Shrinker.Shrink(BrokenStrategies.FailureOf(losing, failure => failure.Tier == Tier.Live)).Failure).Save(Path);
        ReplayFile file = ReplayFile.Load(Path);

        ReplayVerdict again = Replay.Run(losing, file);
        Assert.True(again.StillFails);
        Assert.Equal(Tier.Live, again.Failure!.Tier);
        Assert.False(Replay.Run(Right, file).StillFails);
        Assert.False(file.WriteLog(0, Stream.Null, "none"));
    }

    [Fact]
    public void What_hangs_while_it_is_replayed_is_a_failure_in_bounded_time()
    {
        using var released = new ManualResetEventSlim();
        var ordering = new Hanging(released);
        TestedPipeline pipeline = BrokenStrategies.Ordered(ordering);
        ReplayFile.Of(BrokenStrategies.FailureOf(pipeline, failure => failure.State is not null)).Save(Path);
        ordering.IsHanging = true;
        long start = Environment.TickCount64;

        ReplayVerdict verdict = Replay.Run(pipeline, ReplayFile.Load(Path), new ReplaySettings { StateTimeout = TimeSpan.FromMilliseconds(300) });

        released.Set();
        Assert.InRange(Environment.TickCount64 - start, 0, 5_000);
        Assert.True(verdict.StillFails);
        Assert.Equal(Invariant.I2RecoveryEnds, verdict.Failure!.Invariant);
    }

    [Fact]
    public void The_requests_can_be_written_as_a_log_for_other_programs()
    {
        CrashFailure failure = BrokenStrategies.FailureOf(Broken, found => found.State is not null);
        using var log = new MemoryStream();
        Assert.True(ReplayFile.Of(failure).WriteLog(0, log, "log"));
        Assert.NotEqual(0, log.Length);
    }

    [Fact]
    public void Each_bad_file_is_told_apart()
    {
        ReplayFile.Of(BrokenStrategies.FailureOf(Broken, found => found.State is not null)).Save(Path);
        string good = File.ReadAllText(Path);

        Assert.Equal("SP6030", CodeOf(() => ReplayFile.Load(System.IO.Path.Combine(_folder, "none.json"))));
        Assert.Equal("SP6031", Loading(""));
        Assert.Equal("SP6031", Loading("QFI\u00fb not JSON at all"));
        Assert.Equal("SP6031", Loading("{\"states\": 12}"));
        Assert.Equal("SP6031", Loading("[1, 2]"));
        Assert.Equal("SP6031", Loading("null"));
        Assert.Equal("SP6031", Loading(good.Replace($"\"version\":{ReplayDocument.PresentVersion}", "\"version\":99", StringComparison.Ordinal)));
        foreach (double part in new[] { 0.01, 0.3, 0.6, 0.999 }) Assert.Equal("SP6032", Loading(good[..(int)(Math.Max(good.Length * part, 300))]));
    }

    [Fact]
    public void Damage_inside_a_file_is_never_an_exception_of_another_kind()
    {
        ReplayFile.Of(Shrinker.Shrink(BrokenStrategies.FailureOf(Broken, found => found.State is not null)).Failure).Save(Path);
        string good = File.ReadAllText(Path);
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["bytes"]!["zlib"] = "AAAA")));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["bytes"]!["length"] = 12)));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["devices"]![0]!["length"] = 1 << 30)));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["events"]![0]!["device"] = 7)));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["events"]![0]!["offset"] = -1)));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["state"]!["history"] = null)));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["invariant"] = "i99")));
        Assert.Equal("SP6032", Loading(Changed(good, root => root["workload"]!["steps"]!.AsArray().Add(null))));
        // Any character changed: loaded all the same, or told.
        var random = new Random(7);
        for (int i = 0; i < 300; i++)
        {
            char[] text = good.ToCharArray();
            text[random.Next(200, text.Length)] = (char)random.Next(32, 127);
            if (Loading(new string(text)) is { } code) Assert.Equal("SP6032", code);
            else if (CodeOf(() => Replay.Run(Broken, ReplayFile.Load(Path))) is { } replayed) Assert.Equal("SP6033", replayed);
        }
    }

    [Fact]
    public void A_power_cut_that_does_not_fit_the_trace_is_refused()
    {
        ReplayFile.Of(BrokenStrategies.FailureOf(Broken, found => found.State is not null)).Save(Path);
        string changed = Changed(File.ReadAllText(Path), root => root["state"]!["cut"]!["slots"] = 999);
        Assert.Null(Loading(changed));
        Assert.Equal("SP6033", CodeOf(() => Replay.Run(Broken, ReplayFile.Load(Path))));
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_told_and_an_older_one_stays()
    {
        ReplayFile file = ReplayFile.Of(BrokenStrategies.FailureOf(Broken));
        Assert.Equal("SP6034", CodeOf(() => file.Save(System.IO.Path.Combine(_folder, "no such folder", "x.json"))));
        Directory.CreateDirectory(Path);
        Assert.Equal("SP6034", CodeOf(() => file.Save(Path)));
    }

    private static string Changed(string json, Action<JsonNode> change)
    {
        JsonNode root = JsonNode.Parse(json)!;
        change(root);
        return root.ToJsonString();
    }

    private string? Loading(string text)
    {
        File.WriteAllText(Path, text);
        return CodeOf(() => ReplayFile.Load(Path));
    }

    private static string? CodeOf(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (DiagnosticException e)
        {
            return e.Code;
        }
    }
}
