using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// Finds the flush that is missing: adds one to the trace at one place after the other, and looks whether a power cut at the same moment, and at the next
/// telling one, can still do the harm.
/// </summary>
public sealed class Healer
{
    // The clock of a changed trace runs so many times as fast, so that there is room between any two of its ticks.
    private const int ClockFactor = 8;

    // Most failures have their flush missing within a few requests of what was lost.
    private const int MostPlaces = 64;

    private static readonly ChooserLimits Limits = new() { StatesPerPoint = 48, FullSubsetRequests = 3, FullAtomStates = 16, Pairs = 4, RandomPerEpoch = 8 };

    private readonly Scene _scene;
    private readonly bool _isSecond;
    private readonly TrialBudget _budget;
    private readonly CrashPoint _point;
    private readonly TraceEvent[] _lost;

    private Healer(Scene scene, bool isSecond, TrialBudget budget)
    {
        (_scene, _isSecond, _budget) = (scene, isSecond, budget);
        _point = scene.PointAt(scene.Broken.Tick);
        _lost = [.. RequestFates.LostAt(_point, scene.Broken.Choice)];
    }

    /// <summary>Looks for the missing flush. Blocks; bounded.</summary>
    /// <param name="failure">Best a shrunk one.</param>
    /// <param name="limits">How long to try; null for ten seconds.</param>
    /// <param name="foreign">The second opinion of the run that found it.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Healing Suggest(CrashFailure failure, TrialLimits? limits = null, IForeignReader? foreign = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(failure);
        if (failure.State is null || failure.Run is null) return None("no power was cut: it is not for want of a flush");
        if (failure.Fault is not null) return None("the device erred: it is not for want of a flush");
        using var budget = new TrialBudget(limits ?? new TrialLimits(), cancellation);
        if (Sight.Of(failure, foreign, budget) is not { } sight) return None("unknown: the state was not seen to fail again");
        Healing? second = Scene.SecondOf(failure) is { } inner ? new Healer(inner, isSecond: true, budget).Suggest() : null;
        if (second is { Kind: not HealingKind.Nothing }) return second;
        Healing first = new Healer(Scene.FirstOf(failure, sight)!, isSecond: false, budget).Suggest();
        return first.Kind == HealingKind.Nothing && second is not null ? second : first;
    }

    /// <summary>Looks for the missing flush in one scene.</summary>
    internal static Healing Suggest(Scene scene, TrialBudget budget) => new Healer(scene, isSecond: false, budget).Suggest();

    private static Healing None(string why) => new() { Kind = HealingKind.Nothing, Text = why };

    private Healing Suggest()
    {
        if (_lost.Length == 0) return None("nothing was lost and all was in order: it is not for want of a flush, but wrong in what is written or recovered");
        TraceEvent[] places = [.. Places()];
        bool IsHealedBy(HealingKind kind, TraceEvent place) => KindsFor(_point.Machine.Devices[place.Device]).Contains(kind) && Heals(kind, place);
        // What costs least, wherever it does; of that the first place.
        foreach (HealingKind kind in new[] { HealingKind.Barrier, HealingKind.Fence, HealingKind.LineFlush, HealingKind.Msync, HealingKind.Flush })
        {
            for (int p = 0; p < places.Length; p++)
            {
                if (!IsHealedBy(kind, places[p])) continue;
                int last = p;
                while (last + 1 < places.Length && IsHealedBy(kind, places[last + 1])) last++;
                return Found(kind, places[p], places[last]);
            }
        }

        if (_budget.IsSpent) return None("not found in the time given");
        TraceEvent? underWay = _lost.FirstOrDefault(entry => entry.End > _scene.Broken.Tick);
        return None(underWay is null
            ? "no single flush or barrier heals it: more than one is missing, or it is wrong in what is written or recovered"
            : $"no flush heals it: {underWay} was still under way, and the strategy must not need it to be whole");
    }

    // Behind what changed something, from the first lost request that had returned.
    private IEnumerable<TraceEvent> Places()
    {
        long first = _lost.Min(entry => entry.End);
        return _scene.Trace.Events
            .Where(entry => (entry.ChangesContent || entry.Kind == TraceKind.FlushLines) && entry.End >= first && entry.End <= _scene.Broken.Tick && _lost.Any(lost => lost.Device == entry.Device))
            .OrderBy(entry => entry.End).Take(MostPlaces);
    }

    private IEnumerable<HealingKind> KindsFor(Device device) => device.Domain switch
    {
        null when _scene.Settings.Model == PersistenceModel.Barrier => [HealingKind.Barrier, HealingKind.Flush],
        null => [HealingKind.Flush],
        PersistenceDomain.Msync => [HealingKind.Msync],
        _ => [HealingKind.Fence, HealingKind.LineFlush],
    };

    private Healing Found(HealingKind kind, TraceEvent after, TraceEvent until)
    {
        TraceEvent? before = _scene.Trace.Events.Where(entry => entry.ChangesContent && entry.Begin > after.End && entry.Begin <= _scene.Broken.Tick).MinBy(entry => entry.Begin);
        string what = kind switch
        {
            HealingKind.Barrier => "a barrier",
            HealingKind.Flush => "a flush",
            HealingKind.Fence => "a fence",
            HealingKind.LineFlush => "flushes of its lines and a fence",
            _ => "an msync",
        };
        string where = before is null ? $"after {after}, before what came then was acknowledged" : $"between {after} and {before}";
        string later = until == after ? "" : $" (or later, up to after {until})";
        return new Healing { Kind = kind, After = after, Before = before, Until = until, IsOfSecondCut = _isSecond, Text = $"{what} {where}{later}" };
    }

    private bool Heals(HealingKind kind, TraceEvent place)
    {
        Trace changed = With(kind, place);
        var cursor = new TraceCursor(_scene.Start, changed, _scene.Settings.Model, _scene.Settings.AtomBytes);
        long next = FollowingTick();
        foreach (long tick in next > _scene.Broken.Tick ? new[] { _scene.Broken.Tick, next } : [_scene.Broken.Tick])
        {
            cursor.MoveTo(tick * ClockFactor);
            CrashPoint point = cursor.Here();
            foreach (StateChoice choice in Choices(point)) if (_scene.Try(point, choice, _budget, tick) is not null || _budget.IsSpent) return false;
        }

        return true;
    }

    // What failed comes first: most places are refused by the first trial.
    private IEnumerable<StateChoice> Choices(CrashPoint point)
    {
        yield return Scene.Carry(_point, _scene.Broken.Choice, point, point.LastEpochs());
        // The same choices whatever was tried before.
        var random = new Random((int)_scene.Broken.Tick);
        foreach ((StateChoice choice, _) in new StateChooser(point, random, Limits).Choices()) yield return choice;
    }

    private long FollowingTick()
    {
        IEnumerable<long> ends = _scene.Trace.Events
            .Where(entry => entry.Kind is TraceKind.Flush or TraceKind.Fence or TraceKind.Persist && entry.End != TraceEvent.Never).Select(entry => entry.End - 1);
        return ends.Concat(_scene.Telling).Where(tick => tick > _scene.Broken.Tick).DefaultIfEmpty(_scene.Broken.Tick).Min();
    }

    private Trace With(HealingKind kind, TraceEvent place)
    {
        var events = _scene.Trace.Events.Select(entry => At(entry, entry.Begin * ClockFactor, entry.End == TraceEvent.Never ? entry.End : entry.End * ClockFactor)).ToList();
        long at = place.End * ClockFactor;
        long end = _point.Machine.Devices[place.Device].Image.Length;
        foreach (TraceEvent entry in _scene.Trace.Events) if (entry.Device == place.Device && entry.ChangesContent) end = Math.Max(end, entry.Offset + entry.Length);
        TraceEvent Added(TraceKind added, int turn) => new()
        {
            Index = -1, Kind = added, Device = place.Device, Begin = at + (2 * turn) + 1, Length = end, Thread = place.Thread, End = at + (2 * turn) + 2,
        };
        if (kind == HealingKind.LineFlush) events.Add(Added(TraceKind.FlushLines, 0));
        events.Add(kind switch
        {
            HealingKind.Barrier => Added(TraceKind.Barrier, 0),
            HealingKind.Flush => Added(TraceKind.Flush, 0),
            HealingKind.Msync => Added(TraceKind.Persist, 0),
            _ => Added(TraceKind.Fence, 1),
        });
        return new Trace(events, _scene.Trace.Now * ClockFactor);
    }

    private static TraceEvent At(TraceEvent entry, long begin, long end) => new()
    {
        Index = entry.Index, Kind = entry.Kind, Device = entry.Device, Begin = begin, End = end, HasFailed = entry.HasFailed, Offset = entry.Offset, Length = entry.Length,
        Data = entry.Data, IsForced = entry.IsForced, Content = entry.Content, Thread = entry.Thread, Text = entry.Text,
    };
}
