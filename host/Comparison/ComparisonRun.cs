using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Comparison;

/// <summary>What is to be measured.</summary>
/// <param name="Workloads">In the order of the table.</param>
/// <param name="Rounds">Times that each contender runs each workload.</param>
/// <param name="Operations">Operations of a run.</param>
/// <param name="DiskBytes">Size of the disks, a multiple of <see cref="Workload.TableBytes"/>.</param>
internal sealed record ComparisonPlan(IReadOnlyList<Workload> Workloads, int Rounds, int Operations, long DiskBytes);

/// <summary>
/// Runs every contender on every workload, round after round and each round in another order, so that the machine's moods meet all of them alike. A first pass
/// that is not timed warms up what is compiled at run time, finds out who cannot run here, and counts for those who cannot count while timed.
/// </summary>
/// <param name="plan">What to measure.</param>
/// <param name="folder">For images.</param>
/// <param name="sockets">For sockets; a short name.</param>
/// <param name="note">Receives a line for each row that is left out.</param>
/// <param name="progress">Told before each run what comes.</param>
/// <param name="cancel">Ends it between two operations.</param>
internal sealed class ComparisonRun(ComparisonPlan plan, string folder, string sockets, Action<string> note, Action<string> progress, CancellationToken cancel)
{
    // Enough for the methods of the data path to be compiled with optimization.
    private const int WarmUpOperations = 100;

    private const int WarmUpSeed = 0;

    /// <summary>Runs that a plan comes to, for progress bars.</summary>
    public static int Steps(ComparisonPlan plan, int contenders) => contenders * plan.Workloads.Count * (plan.Rounds + 1);

    /// <summary>Measures.</summary>
    /// <param name="contenders">In the order of the table.</param>
    /// <param name="isRequired">Whether a contender that cannot run here is an error instead of a row left out.</param>
    public IReadOnlyList<Measurement> Run(IReadOnlyList<Contender> contenders, Func<Contender, bool> isRequired)
    {
        List<Measurement> measurements = FirstPass(contenders, isRequired);
        for (int round = 1; round <= plan.Rounds; round++)
        {
            foreach ((int index, Workload workload) in plan.Workloads.Index())
            {
                Measurement[] rivals = [.. measurements.Where(measurement => measurement.Workload == workload)];
                foreach (Measurement measurement in InTurn(rivals, round, index))
                {
                    progress($"round {round}/{plan.Rounds}: {workload.Name}, {measurement.Contender.Name}");
                    RunResult result = RunOnce(measurement.Contender, workload, plan.Operations, seed: round, counting: false);
                    measurement.AddRound(result);
                }
            }
        }

        return measurements;
    }

    /// <summary>Each round begins with another one, and every second round goes backwards: nobody always follows the same neighbour.</summary>
    private static IEnumerable<Measurement> InTurn(Measurement[] rivals, int round, int workload)
    {
        int first = (round + workload) % Math.Max(rivals.Length, 1);
        int step = round % 2 == 0 ? rivals.Length - 1 : 1;
        for (int i = 0; i < rivals.Length; i++) yield return rivals[(first + (i * step)) % rivals.Length];
    }

    private List<Measurement> FirstPass(IReadOnlyList<Contender> contenders, Func<Contender, bool> isRequired)
    {
        var measurements = new List<Measurement>();
        var unusable = new HashSet<Contender>();
        foreach (Workload workload in plan.Workloads)
        {
            foreach (Contender contender in contenders.Where(contender => !unusable.Contains(contender)))
            {
                progress($"counting and warming up: {workload.Name}, {contender.Name}");
                if (contender.Lacks(workload) is { } reason)
                {
                    note($"left out: {contender.Name}, {workload.Name}: {reason}");
                    continue;
                }

                try
                {
                    var measurement = new Measurement(contender, workload);
                    // Counts belong to the whole of a run; warming up need not be so long.
                    int operations = contender.CountsWhileTimed ? Math.Min(plan.Operations, WarmUpOperations) : plan.Operations;
                    RunResult result = RunOnce(contender, workload, operations, WarmUpSeed, counting: true);
                    if (!contender.CountsWhileTimed) measurement.AddCounts(result);
                    measurements.Add(measurement);
                }
                catch (Exception failure) when (failure is DiagnosticException or StorageException or InvalidConfigurationException && !isRequired(contender) && !cancel.IsCancellationRequested)
                {
                    unusable.Add(contender);
                    measurements.RemoveAll(measurement => measurement.Contender == contender);
                    note($"left out: {contender.Name}: {ReasonOf(failure)}");
                }
            }
        }

        if (measurements.Count == 0)
            throw new DiagnosticException("SP4104", "nothing can be measured here", fix: "'sphost pipelines list' says which pipelines can be used");
        return measurements;
    }

    private RunResult RunOnce(Contender contender, Workload workload, int operations, int seed, bool counting)
    {
        cancel.ThrowIfCancellationRequested();
        string place = Path.Combine(folder, contender.Name);
        var run = new PreparedRun(place, sockets, plan.DiskBytes, Workload.AreaBytes(operations), workload.Offsets(operations, plan.DiskBytes, seed), cancel);
        Directory.CreateDirectory(place);
        try
        {
            contender.Prepare(workload, run);
            using IMeasuredDisk disk = counting ? contender.OpenCounting(run) : contender.Open(run);
            return LoadDriver.Run(disk, workload.WriteBytes, run.Offsets, cancel);
        }
        catch (Exception) when (cancel.IsCancellationRequested)
        {
            // The signal may have reached a child as well; what failed because of it is not of interest.
            throw new OperationCanceledException(cancel);
        }
        finally
        {
            contender.Forget(run);
            Directory.Delete(place, recursive: true);
        }
    }

    private static string ReasonOf(Exception failure) => failure switch
    {
        DiagnosticException diagnostic => $"{diagnostic.Code}: {diagnostic.Message}",
        InvalidConfigurationException invalid => $"{invalid.Errors[0].Code}: {invalid.Errors[0].Message}",
        _ => failure.Message.ReplaceLineEndings(" "),
    };
}
