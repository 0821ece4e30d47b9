using System.Globalization;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation;

/// <summary>
/// Runs everything of a plan in one place and regime: all contenders are set up side by side and run each workload in turn, round after round and each round in
/// another order, so that the machine's moods meet all of them alike. A pass that is not timed counts for those who cannot count while they are timed.
/// </summary>
/// <param name="plan">What to measure.</param>
/// <param name="place">Where.</param>
/// <param name="regime">On which device.</param>
/// <param name="context">Folders and notes.</param>
/// <param name="clock">How long it may take.</param>
/// <param name="progress">Told before each step what comes.</param>
/// <param name="cancel">Ends it.</param>
internal sealed class EvaluationRun(
    EvaluationPlan plan, Place place, DeviceRegime regime, EvaluationContext context, EvaluationClock clock, Action<string> progress, CancellationToken cancel)
{
    private readonly List<RowFigures> _rows = [];
    private readonly WorkloadSize _size = plan.SizeOn(regime);

    /// <summary>Whether something failed that should not have; the notes say what.</summary>
    public bool HasFailures { get; private set; }

    /// <summary>Who and what runs here; what cannot is noted.</summary>
    public static (EvaluatedContender[] Contenders, EvaluationWorkload[] Workloads) Participants(EvaluationPlan plan, Place place, DeviceRegime regime, Action<string> note)
    {
        if (!place.Has(regime)) return ([], []);
        EvaluationWorkload[] workloads = [.. plan.WorkloadsOf(place, regime)];
        if (workloads.Length == 0) return ([], []);
        if (place.Lacks() is { } reason)
        {
            note($"left out: {place.Name}: {reason}");
            return ([], []);
        }

        return (
            [.. place.Contenders.Where(contender => IsPossible(place.Lacks(contender, regime), $"{place.Name}, {contender.Name}", note))],
            [.. workloads.Where(workload => IsPossible(workload.Lacks(), $"{place.Name}, {workload.Name}", note))]);
    }

    /// <summary>Steps that it comes to, for progress.</summary>
    public static int Steps(EvaluationPlan plan, Place place, DeviceRegime regime)
    {
        (EvaluatedContender[] contenders, EvaluationWorkload[] workloads) = Participants(plan, place, regime, _ => { });
        return workloads.Length * ((plan.Rounds * contenders.Length) + contenders.Count(contender => !place.CountsWhileTimed(contender, regime)));
    }

    /// <summary>Measures. When it is cancelled, <see cref="Rows"/> has the rounds that were whole.</summary>
    public void Run()
    {
        (EvaluatedContender[] contenders, EvaluationWorkload[] workloads) = Participants(plan, place, regime, context.Notes.Add);
        if (contenders.Length == 0 || workloads.Length == 0) return;
        foreach (EvaluationWorkload workload in workloads) _rows.AddRange(contenders.Select(contender => new RowFigures(place, regime, workload, contender)));

        EvaluatedContender[] counted = [.. contenders.Where(contender => !place.CountsWhileTimed(contender, regime))];
        foreach (EvaluationWorkload[] batch in plan.Batches(workloads, regime))
        {
            RunBatch(counted, batch, 0, 0, isCounting: true);
            if (plan.HasVolumesPerRound)
            {
                for (int round = 1; round <= plan.Rounds; round++) RunBatch(contenders, batch, round, round, isCounting: false);
            }
            else
            {
                RunBatch(contenders, batch, 1, plan.Rounds, isCounting: false);
            }
        }
    }

    /// <summary>The rows, without rounds that some rival did not finish.</summary>
    public IReadOnlyList<EvaluationRow> Rows()
    {
        foreach (IGrouping<EvaluationWorkload, RowFigures> rivals in _rows.GroupBy(row => row.Workload))
        {
            RowFigures[] measured = [.. rivals.Where(row => row.Rounds.Any())];
            HashSet<int> whole = [.. measured.SelectMany(row => row.Rounds).GroupBy(round => round).Where(round => round.Count() == measured.Length).Select(round => round.Key)];
            foreach (RowFigures row in measured) row.KeepRounds(whole);
        }

        return [.. _rows.Where(row => row.Rounds.Any())
            .Select(row => row.ToRow(_rows.FirstOrDefault(other => other.Workload == row.Workload && other.Contender.Name == place.Baseline && other.Rounds.Any())))];
    }

    /// <summary>Some rounds on one set of volumes.</summary>
    private void RunBatch(EvaluatedContender[] contenders, EvaluationWorkload[] workloads, int firstRound, int lastRound, bool isCounting)
    {
        contenders = [.. contenders.Where(contender => _rows.Any(row => row.Contender == contender))];
        if (contenders.Length == 0) return;
        string what = $"{place.Name}{(regime == DeviceRegime.SlowFlush ? ", slow flush" : "")}";
        progress($"{what}, {(isCounting ? "counting" : $"round {firstRound}/{plan.Rounds}")}: setting up {contenders.Length} disks");
        RequireSpace(contenders.Sum(contender => contender is EvaluatedPlainFile ? plan.NeededBytes(workloads, regime) : plan.SpaceTaken(workloads, regime)));
        using var volumes = new VolumeSet(place, regime, context, cancel);
        volumes.SetUp(contenders, plan.DiskBytes(workloads, regime), plan.NeededBytes(workloads, regime), isCounting, (contender, failure) => Forget(contender, isCounting, failure));
        for (int round = firstRound; round <= lastRound; round++)
        {
            TimeSpan begin = clock.Elapsed;
            foreach ((int index, EvaluationWorkload workload) in workloads.Index())
            {
                foreach (EvaluatedContender contender in InTurn(contenders, round, index).Where(volumes.Contains))
                {
                    progress(clock.Step($"{what}, {(isCounting ? "counting" : $"round {round}/{plan.Rounds}")}: {workload.Name}, {contender.Name}", place.StepWeight));
                    RunOne(volumes, contender, workload, round, isCounting);
                }
            }

            if (round == lastRound || clock.HasTimeFor(clock.Elapsed - begin)) continue;
            context.Notes.Add($"{what}: {round} of {plan.Rounds} rounds: a {plan.Scale.ToString().ToLowerInvariant()} run is to end within {EvaluationPlan.QuickLimit.TotalMinutes:0} minutes");
            clock.Skip((lastRound - round) * workloads.Length * contenders.Length * place.StepWeight);
            break;
        }

        volumes.Close((contender, failure) => Forget(contender, isCounting, failure));
    }

    private void RunOne(VolumeSet volumes, EvaluatedContender contender, EvaluationWorkload workload, int round, bool isCounting)
    {
        try
        {
            var run = new WorkloadRun(volumes[contender], _size, round, cancel);
            WorkloadResult result = workload.Run(run);
            RowFigures row = _rows.First(row => row.Contender == contender && row.Workload == workload);
            if (!isCounting) row.AddRound(round, result);
            if (isCounting || place.CountsWhileTimed(contender, regime)) row.AddCounts(run.Counts, result.Operations);
        }
        catch (Exception) when (cancel.IsCancellationRequested)
        {
            // What failed because of the signal is not of interest.
            throw new OperationCanceledException(cancel);
        }
        catch (Exception failure) when (EvaluationFailure.IsExpected(failure))
        {
            volumes.Drop(contender);
            Forget(contender, isCounting, failure, $", {workload.Name}");
        }
    }

    // Without its counts a reference is still worth its time; without its volume nobody is.
    private void Forget(EvaluatedContender contender, bool isCounting, Exception failure, string where = "")
    {
        cancel.ThrowIfCancellationRequested();
        lock (_rows)
        {
            HasFailures = true;
            context.Notes.Add($"FAILED: {place.Name}, {contender.Name}{where}: {EvaluationFailure.Describe(failure)}");
            if (!isCounting) _rows.RemoveAll(row => row.Contender == contender);
        }
    }

    /// <summary>Each round begins with another one, and every second round goes backwards: nobody always follows the same neighbour.</summary>
    internal static IEnumerable<EvaluatedContender> InTurn(EvaluatedContender[] rivals, int round, int workload)
    {
        int first = (round + workload) % Math.Max(rivals.Length, 1);
        int step = round % 2 == 0 ? rivals.Length - 1 : 1;
        for (int i = 0; i < rivals.Length; i++) yield return rivals[(first + (i * step)) % rivals.Length];
    }

    private static bool IsPossible(string? lack, string what, Action<string> note)
    {
        if (lack is null) return true;
        note($"left out: {what}: {lack}");
        return false;
    }

    private void RequireSpace(long bytes)
    {
        if (place.Kind == EvaluationPlace.MemoryFileSystem) return;
        long free = new DriveInfo(context.Scratch.Images).AvailableFreeSpace;
        if (free >= bytes) return;
        throw new DiagnosticException("SP4205", "there is not enough space for the disks", context.Scratch.Images, $"{InGibibytes(bytes)} free", InGibibytes(free), "name another folder with --directory, a smaller --scale, fewer --rounds or fewer pipelines");
    }

    private static string InGibibytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes >> 30}G");
}
