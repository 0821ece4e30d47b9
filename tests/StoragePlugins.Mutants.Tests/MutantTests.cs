using System.Reflection;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Trees;
using Xunit.Abstractions;

namespace StoragePlugins.Mutants.Tests;

/// <summary>
/// The kit's own test: each flush, barrier, fence, checksum, salt, revoke and reservation of the reference strategies is taken out, and the kit must find
/// out. docs/crash-testing.md has the table of which tier did, and how fast.
/// </summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_budget = TimeSpan.FromSeconds(Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1" ? 300 : 60);

    public static IEnumerable<object[]> Ids => Table.Where(entry => entry.Kind != "none").Select(entry => new object[] { entry.Id });

    private static IReadOnlyList<MutantEntry> Table { get; } = MutantTable.Read(Path.Combine(Root, "tests", "Mutants", "mutants.txt"));

    private static string Root => typeof(MutantTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "RepositoryRoot").Value!;

    [Theory]
    [MemberData(nameof(Ids))]
    public void Mutant_is_killed(string id)
    {
        MutantEntry entry = Table.First(one => one.Id == id);
        using IDisposable active = Mutant.Activate(id);
        foreach ((IReadOnlyList<TestedPipeline> variants, PersistenceModel model) in Compositions.For(id))
        {
            // Where it was found before; and should that have moved, from the start.
            var settings = new CrashTestSettings { Model = model, Budget = s_budget, FirstWorkload = entry.FoundAt, MaxWorkloads = 8, ShrinksTrees = false, FaultsEvery = entry.Kind == "fault" ? 1 : 0 };
            CrashTestReport report = Run(variants, settings);
            if (report.FailureCount == 0) report = Run(variants, settings with { FirstWorkload = 0, MaxWorkloads = long.MaxValue });
            if (report.FailureCount == 0) continue;
            (Invariant invariant, Tier tier, long workload, string message) = report.TreeFailures is [TreeFailure tree, ..]
                ? (tree.Invariant, tree.Tier, tree.WorkloadIndex, tree.Message)
                : (report.Failures[0].Invariant, report.Failures[0].Tier, report.Failures[0].WorkloadIndex, report.Failures[0].Message);
            output.WriteLine($"{id}|{report.Pipeline}|{invariant.Number()}|{tier}|{report.JudgedStates}|{report.Elapsed.TotalSeconds:0.0}|{workload}|{message}");
            return;
        }

        Assert.Fail($"nothing was found without it: {entry.Says}");
    }

    [Fact]
    public void Nothing_is_found_while_every_protection_is_there()
    {
        foreach ((IReadOnlyList<TestedPipeline> variants, PersistenceModel model) in Compositions.All)
        {
            CrashTestReport report = Run(variants, new CrashTestSettings { Model = model, Budget = TimeSpan.FromSeconds(1) });
            Assert.True(report.FailureCount == 0, string.Join('\n', report.Failures.SelectMany(failure => failure.Describe()).Concat(report.TreeFailures.SelectMany(failure => failure.Describe()))));
        }
    }

    private static CrashTestReport Run(IReadOnlyList<TestedPipeline> variants, CrashTestSettings settings) =>
        (variants[0].MapsImage ? (ICrashTestRun)new TreeCrashTest(variants, settings) : new CrashTest(variants, settings)).Run();
}
