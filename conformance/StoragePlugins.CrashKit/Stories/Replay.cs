using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// Repeats what a replay file holds: the recorded state is recovered and judged again; and the workload is run anew, for a strategy that was put right makes
/// other requests, and then the recorded state is one that it never leaves.
/// </summary>
public static class Replay
{
    // So often a workload is run whose requests are never twice the same.
    private const int MostRuns = 5;

    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(50);

    /// <summary>Replays a file. Blocks; bounded.</summary>
    /// <param name="pipeline">As the file's configuration says, or a changed one.</param>
    /// <param name="file">The file.</param>
    /// <param name="settings">How long; null for the defaults.</param>
    /// <param name="foreign">The second opinion of the run that found it.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="DiagnosticException">SP6033: the file's power cut is none of this version's.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ReplayVerdict Run(TestedPipeline pipeline, ReplayFile file, ReplaySettings? settings = null, IForeignReader? foreign = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(file);
        settings ??= new ReplaySettings();
        using var budget = new TrialBudget(settings.Limits, cancellation);
        var attempt = new ReplayAttempt(pipeline, file, budget, foreign);
        ReplayVerdict? verdict = null;
        Exception? thrown = null;
        // A recovery that hangs must not keep the caller.
        var worker = new Thread(() =>
        {
            try
            {
                verdict = attempt.Run(MostRuns);
            }
            catch (Exception e)
            {
                thrown = e;
            }
        }) { IsBackground = true, Name = "replay" };
        worker.Start();
        while (!worker.Join(BetweenLooks))
        {
            if (attempt.SinceProgress >= settings.StateTimeout) return ReplayVerdict.Hung(attempt.Failure(null), settings.StateTimeout);
        }

        if (thrown is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(thrown);
        return verdict!;
    }
}

/// <summary>How a file is replayed.</summary>
public sealed record ReplaySettings
{
    /// <summary>How long the workload's states are explored when the strategy has changed.</summary>
    public TrialLimits Limits { get; init; } = new();

    /// <summary>A state takes longer: the strategy hangs.</summary>
    public TimeSpan StateTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What a replay showed.</summary>
/// <param name="StillFails">The failure, or another one in its place.</param>
/// <param name="Text">One sentence.</param>
public sealed record ReplayVerdict(bool StillFails, string Text)
{
    /// <summary>
    /// False when the recorded state fails and it is not known whether the strategy can still leave it: its requests depend on timing, or the time was up. Then
    /// it counts as failing.
    /// </summary>
    public bool IsCertain { get; init; } = true;

    /// <summary>The failure, to be told; null when there is none any more.</summary>
    public CrashFailure? Failure { get; init; }

    internal static ReplayVerdict Hung(CrashFailure failure, TimeSpan timeout) => new(true, $"still fails: it has not ended after {timeout.TotalSeconds:0.#} seconds")
    {
        Failure = failure with { Hang = new InvariantBrokenException(Invariant.I2RecoveryEnds, $"it has not ended after {timeout.TotalSeconds:0.#} seconds") },
    };
}
