using System.Diagnostics;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation;

/// <summary>A whole evaluation: one place after the other, as is and slowly, told as it goes and reported at the end.</summary>
/// <param name="context">What everything is made with.</param>
/// <param name="asked">What to measure.</param>
/// <param name="places">Where.</param>
/// <param name="command">What repeats it.</param>
internal sealed class EvaluationSession(EvaluationContext context, EvaluationPlan asked, IReadOnlyList<Place> places, string command)
{
    /// <summary>Whether something failed that should not have.</summary>
    public bool HasFailures { get; private set; }

    /// <summary>Measures and tells.</summary>
    /// <param name="output">Tables.</param>
    /// <param name="writeLine">A line now and then where there is no terminal.</param>
    /// <param name="cancel">Ends it; the report has what was whole by then.</param>
    public EvaluationReport Run(CommandOutput output, Action<string> writeLine, CancellationToken cancel)
    {
        DateTime started = DateTime.UtcNow;
        long start = Stopwatch.GetTimestamp();
        HostFacts host = HostFacts.Of(context.Scratch.Images) with { Directory = Path.GetDirectoryName(context.Scratch.Roots[0])! };
        SortedDictionary<string, string> versions = ProgramVersions.Find();
        EvaluationPlan plan = asked with { FlushMicroseconds = host.AppendFlushMicroseconds };
        EvaluationTable.WriteFacts(host, versions, plan, output);
        if (host.FileSystem is "tmpfs" or "ramfs") context.Notes.Add($"SP4105: {host.Directory} is in memory: flushes cost nothing there; name a folder on a disk with --directory");

        (Place Place, DeviceRegime Regime)[] parts = [.. places.SelectMany(place => plan.Regimes.Select(regime => (place, regime)))];
        var clock = new EvaluationClock(parts.Sum(part => WeightOf(plan, part.Place, part.Regime)), plan.Limit);
        foreach (Place place in places)
        {
            if (string.Join(", ", plan.LeftOut(place).Select(workload => workload.Name)) is { Length: > 0 } names)
                context.Notes.Add($"left out at scale {plan.Scale.ToString().ToLowerInvariant()}: {place.Name}: {names}; --workload runs them all the same");
        }

        var rows = new List<EvaluationRow>();
        bool isInterrupted = false;
        foreach ((Place place, DeviceRegime regime) in parts)
        {
            (IReadOnlyList<EvaluationRow> measured, isInterrupted) = RunPart(plan, place, regime, clock, output.IsTerminal, writeLine, cancel);
            rows.AddRange(measured);
            EvaluationTable.WriteResults(place, regime, measured, output);
            if (isInterrupted) break;
        }

        var report = new EvaluationReport
        {
            Started = started,
            TookSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
            Command = command,
            Scale = plan.Scale.ToString().ToLowerInvariant(),
            Rounds = plan.Rounds,
            SlowFlushMicroseconds = plan.SlowFlush.TotalMicroseconds,
            IsInterrupted = isInterrupted,
            Host = host,
            Versions = versions,
            Contenders = [.. places.SelectMany(place => place.Contenders).Where(contender => rows.Any(row => row.Contender == contender.Name)).DistinctBy(contender => contender.Name)
                .OrderByDescending(contender => contender.IsReference).Select(contender => new ContenderFacts(contender.Name, contender.Description, contender.IsReference, contender.Name == BuiltInPipelines.Default))],
            Workloads = [.. places.SelectMany(place => place.Workloads).Where(workload => rows.Any(row => row.Workload == workload.Name)).DistinctBy(workload => workload.Name).Select(workload => workload.Facts)],
            Rows = rows,
            Papers = PaperComparison.Of(rows),
            Notes = [.. context.Notes.Notes.Select(Anonymous)],
        };
        EvaluationTable.WriteSummary(report, output);
        return report;
    }

    private (IReadOnlyList<EvaluationRow> Rows, bool IsInterrupted) RunPart(EvaluationPlan plan, Place place, DeviceRegime regime, EvaluationClock clock, bool isTerminal, Action<string> writeLine, CancellationToken cancel)
    {
        EvaluationRun? run = null;
        try
        {
            clock.BeginPart(WeightOf(plan, place, regime));
            ComparisonProgress.Show(Math.Max(1, EvaluationRun.Steps(plan, place, regime)), isTerminal, writeLine, progress =>
            {
                run = new EvaluationRun(plan, place, regime, context, clock, progress, cancel);
                run.Run();
                return run;
            });
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return (run?.Rows() ?? [], true);
        }

        HasFailures |= run!.HasFailures;
        return (run.Rows(), false);
    }

    private static double WeightOf(EvaluationPlan plan, Place place, DeviceRegime regime) => EvaluationRun.Steps(plan, place, regime) * place.StepWeight;

    // Names of a run's folders mean nothing to readers, and would make the same note many.
    private string Anonymous(string note) => context.Scratch.Roots.Aggregate(note, (text, root) => text.Replace(root, "…", StringComparison.Ordinal));
}
