using System.Text.Json;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;

namespace StoragePlugins.CrashKit.Tests.Stories;

public sealed class StoryTests
{
    private static CrashFailure LongFailure() =>
        BrokenStrategies.FailureOf(BrokenStrategies.Journaled(new WithoutBarriers()), failure => failure.State is not null && failure.Workload.Steps.Count > 25, first: 33);

    [Fact]
    public void A_story_says_what_was_lost_what_broke_what_heals_it_and_how_to_see_it_again()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)), failure => failure.Invariant == Invariant.I3CheckIsClean);
        ShrunkFailure shrunk = Shrinker.Shrink(found);
        Healing healing = Healer.Suggest(shrunk.Failure);

        string[] lines = [.. Story.Of(shrunk, healing, "failure.json").ToLines()];

        Assert.Equal("qcow2-ordered breaks I3: the format's check finds no corruption", lines[0]);
        Assert.Contains(lines, line => line.Contains("seed 1", StringComparison.Ordinal) && line.Contains($"workload  {found.WorkloadIndex}", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("write Allocation", StringComparison.Ordinal) && line.EndsWith("LOST", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("write Map", StringComparison.Ordinal) && line.EndsWith("persisted", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("the power goes at tick", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("healed by", StringComparison.Ordinal) && line.Contains(healing.Text, StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("refcount", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("sphost crash-test --replay failure.json", StringComparison.Ordinal));
    }

    [Fact]
    public void A_long_story_fits_on_the_page_and_still_says_what_was_lost()
    {
        CrashFailure found = LongFailure();
        Story story = Story.Of(found);
        IReadOnlyList<string> lines = story.ToLines();

        Assert.InRange(lines.Count, 10, StoryText.MaxLines);
        Assert.Contains(lines, line => line.Contains(" … ", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("LOST", StringComparison.Ordinal) || line.Contains("TORN", StringComparison.Ordinal));
        Assert.Contains("again", lines[^1], StringComparison.Ordinal);
        Assert.Equal(found.Workload.Steps.Sum(step => step.Count), story.Operations.Count(operation => !operation.IsAfterRecovery));
        Assert.DoesNotContain(lines, line => line.Contains('\u001b', StringComparison.Ordinal) || line.Contains('\n', StringComparison.Ordinal));
    }

    [Fact]
    public void However_much_there_is_to_tell_the_page_is_kept()
    {
        // Every other one is telling: the worst for a list that is to be shortened.
        StoryOperation[] operations = [.. Enumerable.Range(1, 500).Select(i => new StoryOperation(i, $"write {i}", i % 2 == 0 ? "acknowledged" : "under way", false))];
        StoryRequest[] requests = [.. Enumerable.Range(0, 500).Select(i => new StoryRequest(i, "image", Recording.TraceKind.Write, ContentClass.Map, i, 1, i % 2 == 0 ? RequestFate.Lost : RequestFate.Persisted, 1, 1) { Text = "write" })];
        Story story = Story.Of(LongFailure()) with { Operations = operations, Healing = new StoryHealing(HealingKind.Flush, 1, 2, "x"), Shrinking = new StoryShrinking(true, true, 1, 1, 1, 1, 1, 1) };
        foreach (int cuts in new[] { 1, 2 })
        {
            IReadOnlyList<string> lines = (story with { Cuts = [.. Enumerable.Repeat(new StoryCut(1, "it", requests, 9), cuts)] }).ToLines();
            Assert.InRange(lines.Count, 30, StoryText.MaxLines);
        }
    }

    [Fact]
    public void Two_power_cuts_are_told_as_two()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)), failure => failure.Tier == Tier.Continued, first: 33);
        string[] lines = [.. Story.Of(found).ToLines()];
        Assert.Contains("the devices before the first power cut", lines);
        Assert.Contains("the devices before the second power cut", lines);
        Assert.Contains(lines, line => line.Contains("after the recovery: ", StringComparison.Ordinal));
    }

    [Fact]
    public void Programs_read_the_same_story()
    {
        CrashFailure found = BrokenStrategies.FailureOf(BrokenStrategies.Ordered(new WithoutBarriers()));
        ShrunkFailure shrunk = Shrinker.Shrink(found);

        using JsonDocument json = JsonDocument.Parse(Story.Of(shrunk, Healer.Suggest(shrunk.Failure)).ToJson());
        JsonElement root = json.RootElement;

        Assert.Equal("qcow2-ordered", root.GetProperty("pipeline").GetString());
        Assert.Equal($"I{(int)found.Invariant}", root.GetProperty("invariant").GetString());
        Assert.Equal(1, root.GetProperty("seed").GetInt32());
        JsonElement cut = root.GetProperty("cuts")[0];
        Assert.Contains(cut.GetProperty("requests").EnumerateArray(), request => request.GetProperty("fate").GetString() is "lost" or "torn");
        Assert.Equal(JsonValueKind.String, root.GetProperty("healing").GetProperty("text").ValueKind);
        Assert.Equal(shrunk.Lost, root.GetProperty("shrinking").GetProperty("lost").GetInt32());
    }
}
