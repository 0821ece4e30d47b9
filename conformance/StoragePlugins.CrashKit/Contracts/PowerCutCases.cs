using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Contracts;

/// <summary>Crash tests as conformance cases.</summary>
internal static class PowerCutCases
{
    /// <summary>One case for each model that could apply.</summary>
    public static IEnumerable<ConformanceCase> Of(Func<TestedPipeline> pipeline) => Enum.GetValues<PersistenceModel>().Select(model => new ConformanceCase(
        $"no power cut breaks it ({model.ToString().ToLowerInvariant()})",
        settings => Explore(pipeline(), model, settings)));

    private static void Explore(TestedPipeline pipeline, PersistenceModel model, ConformanceSettings settings)
    {
        if (!CrashTest.ModelsFor(pipeline).Contains(model)) throw new DoesNotApplyException($"it uses nothing that the model {model.ToString().ToLowerInvariant()} is about");
        CrashTestReport report = new CrashTest([pipeline], new CrashTestSettings { Model = model, Seed = settings.Seed, Budget = settings.Budget }).Run();
        if (report.Failures.Count > 0) throw new ConformanceException(string.Join(Environment.NewLine, report.Failures[0].Describe()));
        Expect.That(report.JudgedStates > 0, "no state was explored");
    }
}
