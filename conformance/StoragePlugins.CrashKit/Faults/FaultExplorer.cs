using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Damages the states of one run, one fault at a time (research notes §1.2 and §1.5 T3). Not thread-safe.</summary>
internal sealed class FaultExplorer(TestedPipeline pipeline, WorkloadRun run, ExplorerSettings settings, StateLedger ledger, FaultTally tally, Random random, CancellationToken stop)
{
    /// <summary>Moments of a run of which states are damaged.</summary>
    private const int Moments = 8;

    /// <summary>Times that a state is damaged in each way.</summary>
    private const int TurnsPerState = 3;

    private static readonly FaultKind[] Kinds = [.. Enum.GetValues<FaultKind>().Where(kind => kind > FaultKind.ShortWrite)];

    private readonly FaultTrial _trial = new(pipeline, run);

    /// <summary>Damages states until all turns are done or the caller stops.</summary>
    /// <param name="watched">Runs what may hang: what it is, and the work.</param>
    public IEnumerable<FaultFinding> Explore(Action<string, Action> watched)
    {
        var cursor = new TraceCursor(run.Start, run.Trace, settings.Model, settings.AtomBytes);
        foreach (long tick in Ticks())
        {
            if (stop.IsCancellationRequested) yield break;
            cursor.MoveTo(tick);
            CrashPoint point = cursor.Here();
            StateChoice newest = point.Newest(point.LastEpochs());
            StateChoice choice = random.Next(3) > 0 ? newest : random.Next(2) == 0 ? point.Oldest(point.LastEpochs()) : Between(point, newest);
            SoundState? sound = null;
            watched($"the recovery of a state of tick {tick}", () => sound = _trial.Prepare(point, choice));
            if (sound is null) continue;
            var maker = new DamageMaker(run, point, choice, sound, random);
            for (int turn = 0; turn < TurnsPerState * Kinds.Length && !stop.IsCancellationRequested; turn++)
            {
                if (maker.Make(Kinds[turn % Kinds.Length]) is not { } damage) continue;
                if (!ledger.Note(HashOf(point, choice, damage), run.History.ObligationAt(tick), Tier.Fault)) continue;
                FaultFinding? finding = null;
                watched($"the recovery of a state of tick {tick} with {damage.Text}", () =>
                {
                    (FaultOutcome outcome, finding) = _trial.Try(point, choice, sound, damage);
                    tally.Count(damage.Kind, outcome);
                });
                if (finding is not null) yield return finding;
            }
        }
    }

    private SortedSet<long> Ticks()
    {
        long[] telling = [.. run.History.TellingTicks.Where(tick => tick >= run.FirstTick)];
        long[] before = [.. run.Trace.Events.Where(entry => entry.Begin >= run.FirstTick && entry.End != TraceEvent.Never
            && entry.Kind is TraceKind.Flush or TraceKind.Fence or TraceKind.Persist).Select(entry => entry.End - 1)];
        var ticks = new SortedSet<long> { run.Trace.Now };
        for (int i = 0; i < Moments / 2; i++)
        {
            if (telling.Length > 0) ticks.Add(telling[random.Next(telling.Length)]);
            if (before.Length > 0) ticks.Add(before[random.Next(before.Length)]);
        }

        return ticks;
    }

    private StateChoice Between(CrashPoint point, StateChoice newest)
    {
        StateChoice oldest = point.Oldest(newest.Epochs);
        return newest with { Versions = [.. newest.Versions.Select((version, i) => random.Next(oldest.Versions[i], version + 1))] };
    }

    private static ulong HashOf(CrashPoint point, StateChoice choice, Damage damage)
    {
        ulong hash = point.HashOf(choice) ^ ((ulong)damage.Kind << 32);
        foreach ((long offset, byte[] bytes) in damage.Patches)
            foreach (byte value in bytes) hash = ((hash ^ value) * 0x0000_0100_0000_01b3) + (ulong)offset;
        if (damage.Patches.Count == 0) foreach (char letter in damage.Text) hash = (hash ^ letter) * 0x0000_0100_0000_01b3;
        return hash;
    }
}
