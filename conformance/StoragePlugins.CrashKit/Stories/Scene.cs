using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// A power cut that is looked at again: what came before it, the state that it left, and a judge as thorough as it takes to see the failure.
/// </summary>
internal sealed class Scene
{
    private readonly Func<TrialBudget, StateJudge> _judge;

    /// <summary>A scene.</summary>
    /// <param name="start">The machine before the trace.</param>
    /// <param name="trace">What happened.</param>
    /// <param name="settings">How it is explored.</param>
    /// <param name="broken">The state.</param>
    /// <param name="telling">The ticks at which something became owed.</param>
    /// <param name="judge">Makes the judge of one trial.</param>
    public Scene(Machine start, Trace trace, ExplorerSettings settings, BrokenState broken, IReadOnlyList<long> telling, Func<TrialBudget, StateJudge> judge)
    {
        (Start, Trace, Settings, Broken, Telling, _judge) = (start, trace, settings, broken, telling, judge);
        Invariant = broken.Invariant;
    }

    public Machine Start { get; }

    public Trace Trace { get; }

    public ExplorerSettings Settings { get; }

    public BrokenState Broken { get; private init; }

    public Invariant Invariant { get; private init; }

    /// <summary>The ticks at which something became owed to the guest.</summary>
    public IReadOnlyList<long> Telling { get; }

    /// <summary>The first, or only, power cut of a failure; null when it needed none.</summary>
    public static Scene? FirstOf(CrashFailure failure, Sight sight)
    {
        if (failure is not { Run: { } run, State: { } state }) return null;
        return new Scene(run.Start, run.Trace, failure.Settings, state, [.. run.History.TellingTicks], budget => sight.JudgeFor(failure, run, budget)) { Invariant = failure.Invariant };
    }

    /// <summary>The second power cut of a failure; null when there was none.</summary>
    public static Scene? SecondOf(CrashFailure failure)
    {
        if (failure.State?.Second is not { Broken: { } broken } second) return null;
        return new Scene(second.Start, second.Trace, failure.Settings, broken, [.. second.Run?.History.TellingTicks ?? []], _ => second.Judge);
    }

    /// <summary>The same scene with another state.</summary>
    public Scene With(BrokenState broken) => new(Start, Trace, Settings, broken, Telling, _judge) { Invariant = Invariant };

    /// <summary>What the power cut decided about at a tick.</summary>
    public CrashPoint PointAt(long tick)
    {
        var cursor = new TraceCursor(Start, Trace, Settings.Model, Settings.AtomBytes);
        cursor.MoveTo(tick);
        return cursor.Here();
    }

    /// <summary>Judges a state.</summary>
    /// <param name="point">Of this scene's trace, or of one derived from it.</param>
    /// <param name="choice">The state.</param>
    /// <param name="budget">Pays.</param>
    /// <param name="tick">The moment on this scene's clock, where the point has another.</param>
    /// <returns>What is wrong with it, when that is what is wrong with this scene; else null.</returns>
    public BrokenState? Try(CrashPoint point, StateChoice choice, TrialBudget budget, long? tick = null)
    {
        if (!budget.TrySpend()) return null;
        StateJudge judge = _judge(budget);
        BrokenState? broken = StateExplorer.Try(point, choice, Broken.Tier, (machine, at, tier) => judge(machine, tick ?? at, tier));
        return broken?.Invariant == Invariant ? broken : null;
    }

    /// <summary>
    /// Takes what a choice lost to another point: each slot loses there what it lost here, where that can be lost there, and has its newest version otherwise.
    /// </summary>
    /// <param name="from">The point of the choice.</param>
    /// <param name="choice">The choice.</param>
    /// <param name="to">The other point.</param>
    /// <param name="epochs">Of the other point.</param>
    public static StateChoice Carry(CrashPoint from, StateChoice choice, CrashPoint to, IReadOnlyList<long> epochs)
    {
        var firstLost = new Dictionary<(int, long, int), int>();
        for (int i = 0; i < from.Slots.Count; i++)
        {
            Slot slot = from.Slots[i];
            if (choice.Versions[i] < slot.Newest) firstLost.Add(PlaceOf(slot), slot.Versions[choice.Versions[i] + 1].Cause!.Index);
        }

        StateChoice carried = to.Newest(epochs);
        int[] versions = [.. carried.Versions];
        for (int i = 0; i < versions.Length; i++)
        {
            Slot slot = to.Slots[i];
            if (!firstLost.TryGetValue(PlaceOf(slot), out int lost)) continue;
            for (int v = slot.FloorIn(epochs[slot.Device]); v < versions[i]; v++)
            {
                if (slot.Versions[v + 1].Cause!.Index != lost) continue;
                versions[i] = v;
                break;
            }
        }

        return carried with { Versions = versions };
    }

    // A length's offset is what happens to be durable.
    private static (int Device, long Offset, int Size) PlaceOf(Slot slot) => slot.IsLength ? (slot.Device, 0, 0) : (slot.Device, slot.Offset, slot.Versions[0].Content.Length);
}
