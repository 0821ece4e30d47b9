using StoragePlugins.CrashKit.Runs;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>What a run of <c>crash-test</c> says to programs.</summary>
internal sealed record CrashTestSummary(int Seed, IReadOnlyList<CrashTestReport> Reports, IReadOnlyList<FailureStory> Stories, bool WasInterrupted)
{
    /// <summary>Failures in all.</summary>
    public int Failures => Reports.Sum(report => report.FailureCount);

    /// <summary>The JSON form: sums first, then each test.</summary>
    public object ToJson() => new
    {
        Seed,
        WasInterrupted,
        States = Reports.Sum(report => report.States),
        DistinctStates = Reports.Sum(report => report.DistinctStates),
        JudgedStates = Reports.Sum(report => report.JudgedStates),
        Failures,
        StatesPerSecond = Round(Reports.Sum(report => report.JudgedStates) / Math.Max(1e-9, Reports.Sum(report => report.Elapsed.TotalSeconds))),
        Seconds = Round(Reports.Sum(report => report.Elapsed.TotalSeconds)),
        Tests = Reports.Select(report => new
        {
            report.Pipeline,
            Model = CrashTestTable.NameOf(report.Model),
            report.Variants,
            report.Workloads,
            report.TraceEvents,
            report.States,
            report.DistinctStates,
            report.JudgedStates,
            ByTier = report.ByTier.ToDictionary(tier => tier.Key.ToString().ToLowerInvariant(), tier => tier.Value),
            Faults = report.Faults.GroupBy(count => count.Kind).ToDictionary(kind => CamelCase(kind.Key), kind => kind.ToDictionary(count => CamelCase(count.Outcome), count => count.Count)),
            StatesPerSecond = Round(report.StatesPerSecond),
            Seconds = Round(report.Elapsed.TotalSeconds),
            Failures = report.FailureCount,
        }),
        Stories = Stories.Select(story => new { story.ReplayFile, story.Story }),
    };

    private static string CamelCase<T>(T value) where T : struct, Enum => System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    private static double Round(double value) => Math.Round(value, 1);
}
