using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Exploring;

/// <summary>Judges one state: throws what is wrong with it; <see cref="InvariantBrokenException"/> where it can say what.</summary>
/// <param name="machine">The devices after the power cut. What is done to them is undone afterwards.</param>
/// <param name="tick">When the power went.</param>
/// <param name="tier">By which rule the state was chosen.</param>
internal delegate void StateJudge(Machine machine, long tick, Tier tier);

/// <summary>A state that its judge found wrong.</summary>
internal sealed record BrokenState(long Tick, StateChoice Choice, Tier Tier, Exception Problem)
{
    /// <summary>What does not hold; an exception nobody expected means that the image does not open.</summary>
    public Invariant Invariant => (Problem as InvariantBrokenException)?.Invariant ?? Invariant.I1Opens;

    /// <summary>The second power cut that it took; null when one was enough.</summary>
    public SecondCut? Second { get; init; }
}

/// <summary>Tries the states that power cuts during one trace can leave, each on a fresh base. Not thread-safe.</summary>
/// <param name="start">The machine before the trace.</param>
/// <param name="trace">What happened.</param>
/// <param name="settings">How.</param>
/// <param name="ledger">Shared by all explorers of a run.</param>
internal sealed class StateExplorer(Machine start, Trace trace, ExplorerSettings settings, StateLedger ledger)
{
    /// <summary>Judges states until the trace ends or the caller stops.</summary>
    /// <param name="telling">Ticks at which all tiers are tried: where obligations have just changed. Those before the end of each flush are added.</param>
    /// <param name="obligation">A hash of what must hold at a tick.</param>
    /// <param name="judge">The judge.</param>
    /// <param name="random">Seeded.</param>
    /// <param name="stop">Ends the search.</param>
    /// <param name="from">Crash points before this tick are left out.</param>
    public IEnumerable<BrokenState> Explore(IEnumerable<long> telling, Func<long, ulong> obligation, StateJudge judge, Random random, CancellationToken stop, long from = 0)
    {
        var full = new HashSet<long>(telling) { trace.Now };
        var ticks = new SortedSet<long>(full);
        foreach (TraceEvent entry in trace.Events)
        {
            if (entry.ChangesContent) ticks.Add(entry.Begin);
            if (entry.Kind is not (TraceKind.Flush or TraceKind.Fence or TraceKind.Persist)) continue;
            long before = entry.End == TraceEvent.Never ? entry.Begin : entry.End - 1;
            ticks.Add(before);
            full.Add(before);
        }

        var cursor = new TraceCursor(start, trace, settings.Model, settings.AtomBytes);
        foreach (long tick in ticks.Where(tick => tick >= from))
        {
            if (stop.IsCancellationRequested) yield break;
            cursor.MoveTo(tick);
            CrashPoint point = cursor.Here();
            var chooser = new StateChooser(point, random, full.Contains(tick) ? settings.Limits : ChooserLimits.PrefixOnly);
            foreach ((StateChoice choice, Tier chosenBy) in chooser.Choices())
            {
                Tier tier = settings.CountAs ?? chosenBy;
                if (stop.IsCancellationRequested) yield break;
                if (!ledger.Note(point.HashOf(choice), obligation(tick), tier)) continue;
                if (Try(point, choice, tier, judge, settings.VariesOnlyWhatIsRead ? chooser : null) is { } broken) yield return broken;
            }
        }
    }

    /// <summary>Judges one state.</summary>
    /// <returns>What is wrong; null when nothing is.</returns>
    public static BrokenState? Try(CrashPoint point, StateChoice choice, Tier tier, StateJudge judge, StateChooser? learner = null)
    {
        Machine machine = point.Machine;
        int devices = machine.Devices.Count;
        machine.BeginTrial();
        try
        {
            point.Apply(choice);
            if (learner is not null) foreach (Device device in machine.Devices) device.Image.TrackReads();
            judge(machine, point.Tick, tier);
            return null;
        }
        catch (SecondCutException nested)
        {
            return new BrokenState(point.Tick, choice, nested.Cut.Tier, nested.Problem) { Second = nested.Cut };
        }
        catch (Exception problem) when (problem is not OperationCanceledException)
        {
            return new BrokenState(point.Tick, choice, tier, problem);
        }
        finally
        {
            if (learner is not null)
            {
                foreach (Device device in machine.Devices) device.Image.StopTrackingReads();
                learner.Note(slot => machine.Devices[slot.Device].Image.WasRead(slot.Offset, slot.Versions[0].Content.Length));
            }

            machine.Rollback(devices);
        }
    }
}

/// <summary>How states are explored.</summary>
internal sealed record ExplorerSettings
{
    /// <summary>What devices promise.</summary>
    public PersistenceModel Model { get; init; }

    /// <summary>Bytes that a disk writes whole: 512 or 4096.</summary>
    public int AtomBytes { get; init; } = 512;

    /// <summary>How far one crash point is explored.</summary>
    public ChooserLimits Limits { get; init; } = new();

    /// <summary>Counts states under this tier; null for the one that chose them.</summary>
    public Tier? CountAs { get; init; }

    /// <summary>Atoms that recovery, check and read-back do not read are left alone.</summary>
    public bool VariesOnlyWhatIsRead { get; init; } = true;
}
