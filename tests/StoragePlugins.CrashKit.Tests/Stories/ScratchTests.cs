using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Models;
using Xunit.Abstractions;
namespace StoragePlugins.CrashKit.Tests.Stories;
public class ScratchTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("none")] [InlineData("nobarrier")] [InlineData("alloc")] [InlineData("flush3")] [InlineData("jnone")] [InlineData("jbarrier")] [InlineData("jflush2")]
    public void Look(string which)
    {
        var p = which switch {
            "none" => BrokenStrategies.Ordered(new Fsync.NoOrdering()),
            "nobarrier" => BrokenStrategies.Ordered(new WithoutBarriers()),
            "alloc" => BrokenStrategies.Ordered(new WithoutBarrierAfter(ContentClass.Allocation)),
            "flush3" => BrokenStrategies.Ordered(new WithoutEveryFlush(3)),
            "jnone" => BrokenStrategies.Journaled(new Fsync.NoOrdering()),
            "jbarrier" => BrokenStrategies.Journaled(new WithoutBarriers()),
            _ => BrokenStrategies.Journaled(new WithoutEveryFlush(2)),
        };
        var sw = System.Diagnostics.Stopwatch.StartNew();
        for (int seed = 1; seed <= 3; seed++) {
        sw.Restart();
        CrashFailure f = BrokenStrategies.FailureOf(p, seed: seed, first: 33);
        output.WriteLine($"found {sw.ElapsedMilliseconds} ms: w{f.WorkloadIndex} {f.Invariant} {f.Tier} {f.Message} steps {f.Workload.Steps.Count}");
        var s = Shrinker.Shrink(f);
        output.WriteLine($"shrunk {s.Elapsed.TotalMilliseconds:0} ms trials {s.Trials} lost {s.LostBefore} -> {s.Lost} seen {s.WasSeenAgain} complete {s.IsComplete}: {s.Failure.Tier} {s.Failure.Message}");
        foreach (var st in s.Failure.Workload.Steps) output.WriteLine("   " + string.Join(" | ", st));
        sw.Restart();
        output.WriteLine($"healing {Healer.Suggest(s.Failure)}  {sw.ElapsedMilliseconds} ms");
        }
    }
}
