using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Checking;

/// <summary>A failure that took two power cuts: the second one inside the recovery, or in the work that went on after it.</summary>
/// <param name="Tier"><see cref="Tier.Recovery"/> or <see cref="Tier.Continued"/>.</param>
/// <param name="Start">The machine before what the second cut ended; a copy.</param>
/// <param name="Trace">What the recovery, or the further work, asked of the devices.</param>
/// <param name="Broken">The state that the second cut left; null when the further work itself went wrong.</param>
/// <param name="Judge">Judges states of the second cut.</param>
/// <param name="Run">The further work; null for a cut inside the recovery.</param>
/// <param name="Continuation">What the guest did in it.</param>
internal sealed record SecondCut(Tier Tier, Machine Start, Trace Trace, BrokenState? Broken, StateJudge Judge, WorkloadRun? Run = null, Workload? Continuation = null);

/// <summary>Carries a <see cref="SecondCut"/> out of a judge.</summary>
internal sealed class SecondCutException(Exception problem, SecondCut cut) : Exception(problem.Message, problem)
{
    /// <summary>What is wrong.</summary>
    public Exception Problem { get; } = problem;

    public SecondCut Cut { get; } = cut;
}

/// <summary>The second power cut of a failure that is looked at again: it is tried before others.</summary>
/// <param name="Tier"><see cref="Tier.Recovery"/> or <see cref="Tier.Continued"/>.</param>
/// <param name="State">The state; null when the further work itself went wrong.</param>
/// <param name="Continuation">What the guest did after the recovery.</param>
internal sealed record RememberedCut(Tier Tier, SavedCut? State, Workload? Continuation)
{
    /// <summary>What a failure's second cut was; null for a failure with one.</summary>
    public static RememberedCut? Of(SecondCut? second, ExplorerSettings settings)
    {
        if (second is null) return null;
        SavedCut? state = null;
        if (second.Broken is { } broken)
        {
            var cursor = new TraceCursor(second.Start, second.Trace, settings.Model, settings.AtomBytes);
            cursor.MoveTo(broken.Tick);
            state = SavedCut.Of(cursor.Here(), broken.Choice);
        }

        return new RememberedCut(second.Tier, state, second.Continuation);
    }
}
