using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// Moves a state towards the plain one, in which the power went and nothing was lost, as long as it still fails: the fewest requests lost, of those the
/// fewest sectors, at the earliest moment, when the least had overtaken them.
/// </summary>
internal sealed class StateShrinker(Scene scene, TrialBudget budget)
{
    private CrashPoint _point = scene.PointAt(scene.Broken.Tick);
    private BrokenState _best = scene.Broken;

    /// <summary>The smallest state found; the scene's own when none is smaller.</summary>
    public BrokenState Shrink()
    {
        TakeNewestEpochs();
        LoseLess();
        CutEarlier();
        return _best;
    }

    /// <summary>How many slots are not in their newest version.</summary>
    public static int Deviations(CrashPoint point, StateChoice choice)
    {
        StateChoice plain = point.Newest(point.LastEpochs());
        return Enumerable.Range(0, point.Slots.Count).Count(i => choice.Versions[i] != plain.Versions[i]);
    }

    private bool Fails(StateChoice choice)
    {
        if (scene.Try(_point, choice, budget) is not { } broken) return false;
        _best = broken;
        return true;
    }

    private void TakeNewestEpochs()
    {
        long[] last = _point.LastEpochs();
        if (!_best.Choice.Epochs.SequenceEqual(last)) Fails(Scene.Carry(_point, _best.Choice, _point, last));
    }

    private void LoseLess()
    {
        StateChoice lossy = _best.Choice, plain = _point.Newest(lossy.Epochs);
        int[] lost = [.. Enumerable.Range(0, _point.Slots.Count).Where(i => lossy.Versions[i] != plain.Versions[i])];
        StateChoice Losing(IEnumerable<int> slots)
        {
            int[] versions = [.. plain.Versions];
            foreach (int i in slots) versions[i] = lossy.Versions[i];
            return plain with { Versions = versions };
        }

        // Whole requests first, then their sectors.
        List<int[]> requests = [.. lost.GroupBy(i => _point.Slots[i].Versions[lossy.Versions[i] + 1].Cause!.Index).OrderBy(group => group.Key).Select(group => group.ToArray())];
        int[] fewer = [.. Reduction.Minimal(requests, some => Fails(Losing(some.SelectMany(slots => slots)))).SelectMany(slots => slots)];
        List<int> fewest = Reduction.Minimal(fewer, some => Fails(Losing(some)));
        // Of a slot with several versions, the newest that will do.
        foreach (int i in fewest)
        {
            for (int v = plain.Versions[i] - 1; v > _best.Choice.Versions[i]; v--)
            {
                int[] versions = [.. _best.Choice.Versions];
                versions[i] = v;
                if (Fails(_best.Choice with { Versions = versions })) break;
            }
        }
    }

    private void CutEarlier()
    {
        (CrashPoint found, StateChoice choice, long tick) = (_point, _best.Choice, _best.Tick);
        long from = FirstLost()?.Begin ?? 0;
        var ticks = new SortedSet<long>();
        foreach (TraceEvent entry in scene.Trace.Events)
        {
            if (entry.Begin >= from && entry.Begin < tick) ticks.Add(entry.Begin);
            if (entry.End >= from && entry.End < tick) ticks.Add(entry.End);
        }

        foreach (long telling in scene.Telling) if (telling >= from && telling < tick) ticks.Add(telling);
        var cursor = new TraceCursor(scene.Start, scene.Trace, scene.Settings.Model, scene.Settings.AtomBytes);
        foreach (long earlier in ticks)
        {
            if (budget.IsSpent) return;
            cursor.MoveTo(earlier);
            CrashPoint point = cursor.Here();
            if (scene.Try(point, Scene.Carry(found, choice, point, point.LastEpochs()), budget) is not { } broken) continue;
            (_point, _best) = (point, broken);
            LoseLess();
            return;
        }
    }

    private TraceEvent? FirstLost()
    {
        TraceEvent? first = null;
        for (int i = 0; i < _point.Slots.Count; i++)
        {
            Slot slot = _point.Slots[i];
            if (_best.Choice.Versions[i] < slot.Newest && slot.Versions[_best.Choice.Versions[i] + 1].Cause is { } cause && !(first?.Begin <= cause.Begin)) first = cause;
        }

        return first;
    }
}
