using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Tests.Trees;

public class TreeCrashTests
{
    [Fact]
    public void A_tree_that_keeps_its_promises_survives()
    {
        CrashTestReport report = Run(ToyFault.None, 60);
        Assert.True(report.FailureCount == 0, string.Join('\n', report.TreeFailures.SelectMany(failure => failure.Describe())));
        Assert.True(report is { Workloads: >= 60, JudgedStates: > 500 });
        Assert.Contains(Exploring.Tier.Continued, report.ByTier.Keys);
    }

    [Theory]
    [InlineData(ToyFault.ForgetsTheFenceBeforeTheWord, null)]
    [InlineData(ToyFault.ForgetsTheFenceBehindTheWord, Invariant.I4Durable)]
    [InlineData(ToyFault.OverwritesWhatCounts, null)]
    [InlineData(ToyFault.ForgetsAttributes, null)]
    [InlineData(ToyFault.RenamesInTwoSteps, null)]
    [InlineData(ToyFault.GrowsBeforeItWrites, Invariant.I7Atomic)]
    [InlineData(ToyFault.ForgetsTimes, Invariant.I4Durable)]
    [InlineData(ToyFault.ForgetsLinks, null)]
    [InlineData(ToyFault.RecoversTwice, null)]
    public void A_tree_that_breaks_them_is_found_out(ToyFault fault, Invariant? invariant)
    {
        CrashTestReport report = Run(fault, 2000);
        TreeFailure failure = Assert.Single(report.TreeFailures);
        if (invariant is { } expected) Assert.Equal(expected, failure.Invariant);
        Assert.NotEmpty(failure.Describe());
        Assert.NotEmpty(failure.Tell().ToLines());
        Assert.NotEmpty(failure.Tell().ToJson());
    }

    [Fact]
    public void A_story_of_a_tree_says_what_was_done_what_was_lost_and_what_broke()
    {
        TreeFailure failure = Run(ToyFault.ForgetsTheFenceBehindTheWord, 2000).TreeFailures[0];
        string story = string.Join('\n', failure.Tell().ToLines());
        Assert.Contains("acknowledged", story, StringComparison.Ordinal);
        Assert.Contains("LOST", story, StringComparison.Ordinal);
        Assert.Contains("operations had returned", story, StringComparison.Ordinal);
        // Made small: one operation is enough to be lost.
        Assert.InRange(failure.Workload.Operations.Count, 1, 2);
    }

    [Fact]
    public void A_pipeline_whose_images_are_no_trees_is_left_to_the_test_of_disks() =>
        Assert.Null(TreeCrashTest.Of(new Subjects.TestedPipeline("model", new Subjects.Tested<IBlockFormat>("model", new StoragePlugins.CrashKit.Contracts.Model.ModelFormat()),
            ToyFormat.Pipeline(ToyFault.None).Ordering, ToyFormat.Pipeline(ToyFault.None).Journal)));

    [Fact]
    public void The_same_seed_gives_the_same_workloads()
    {
        static string Text(int seed) => string.Join('\n', Enumerable.Range(0, 200).SelectMany(i => new TreeWorkloadPlan(seed)[i].Operations));
        Assert.Equal(Text(5), Text(5));
        Assert.NotEqual(Text(5), Text(6));
    }

    [Fact]
    public void All_pairs_of_operations_are_among_the_bounded_workloads()
    {
        var plan = new TreeWorkloadPlan(3);
        var origins = new HashSet<string>();
        for (long i = 0; origins.Count < TreeWorkloadPlan.BoundedCount && i < 2 * TreeWorkloadPlan.BoundedCount; i++)
        {
            if (plan[i].Origin.StartsWith("seq", StringComparison.Ordinal)) origins.Add(plan[i].Origin);
        }

        Assert.Equal(TreeWorkloadPlan.BoundedCount, origins.Count);
    }

    private static CrashTestReport Run(ToyFault fault, long workloads)
    {
        Subjects.TestedPipeline pipeline = TreeCrashTest.Of(ToyFormat.Pipeline(fault))!;
        return new TreeCrashTest([pipeline], new CrashTestSettings { Budget = TimeSpan.FromSeconds(60), MaxWorkloads = workloads, Workers = 2 }).Run();
    }
}
