using System.Diagnostics.CodeAnalysis;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Says what became of damage. Not thread-safe.</summary>
internal sealed class FaultJudge(TestedPipeline pipeline, WorkloadRun run)
{
    /// <summary>Opens the damaged image and judges. The machine is left as that leaves it.</summary>
    /// <param name="machine">The damaged devices.</param>
    /// <param name="damage">What was done to them.</param>
    /// <param name="sound">What they were before.</param>
    /// <exception cref="InvariantBrokenException">Nobody saw it, and it did harm; or it was met with an error that is none.</exception>
    public FaultOutcome Judge(Machine machine, Damage damage, SoundState sound)
    {
        GuestView? seen = Look(machine, damage, sound.Tick, damage.Unreadable);
        FaultOutcome outcome = seen is null ? FaultOutcome.Detected : Classify(seen, damage, sound);
        if (outcome == FaultOutcome.Silent) throw Silent(seen!, damage, sound);
        if (damage.IsPassing) RequireUnharmed(machine, damage, sound);
        return outcome;
    }

    private GuestView? Look(Machine machine, Damage damage, long tick, MediumFaults? faults)
    {
        try
        {
            return GuestView.Of(pipeline, machine, run.History, tick, faults);
        }
        catch (Exception told) when (told is StorageException or DiagnosticException)
        {
            return null;
        }
        catch (Exception problem) when (problem is not (InvariantBrokenException or OperationCanceledException))
        {
            throw new InvariantBrokenException(Invariant.I14DamageIsSeen, $"{damage.Text} was met with {problem.GetType().Name}: {problem.Message}", problem);
        }
    }

    // What could not be read for a moment must not have cost anything.
    private void RequireUnharmed(Machine machine, Damage damage, SoundState sound)
    {
        GuestView again;
        try
        {
            again = GuestView.Of(pipeline, machine, run.History, sound.Tick);
        }
        catch (Exception problem) when (problem is StorageException or DiagnosticException)
        {
            throw new InvariantBrokenException(Invariant.I14DamageIsSeen, $"{damage.Text}: once it can be read again the image does not open any more: {problem.Message}", problem);
        }

        if (again.Broken is { } broken) throw new InvariantBrokenException(Invariant.I14DamageIsSeen, $"{damage.Text}: once it can be read again {broken.Message}", broken);
        if (again.Corruptions > 0 || again.Leaks > sound.View.Leaks)
            throw new InvariantBrokenException(Invariant.I14DamageIsSeen, $"{damage.Text}: once it can be read again the check finds {again.Corruptions} corruptions and {again.Leaks} leaks");
    }

    private FaultOutcome Classify(GuestView seen, Damage damage, SoundState sound)
    {
        if (seen.Corruptions > 0 || seen.Leaks > sound.View.Leaks) return FaultOutcome.Detected;
        if (seen.Broken is null) return FaultOutcome.Harmless;
        IReadOnlyList<(long Sector, byte[] Seen, byte[] Right)>? differences = seen.DifferencesFrom(sound.View);
        if (differences is not null && IsConfined(differences, damage, sound)) return FaultOutcome.ConfinedData;
        if (IsRolledBack(seen, damage, sound)) return FaultOutcome.RolledBack;
        return damage.IsProtected && !HitsNewest(damage, sound, out _) ? FaultOutcome.Silent : FaultOutcome.Unprotected;
    }

    private static bool IsConfined(IReadOnlyList<(long Sector, byte[] Seen, byte[] Right)> differences, Damage damage, SoundState sound)
    {
        (byte[] Before, byte[] After)[] damaged = [.. damage.Sectors(sound.Devices[damage.Device])];
        return differences.All(difference => damaged.Any(sector =>
            sector.Before.AsSpan(0, difference.Right.Length).SequenceEqual(difference.Right) && sector.After.AsSpan(0, difference.Seen.Length).SequenceEqual(difference.Seen)));
    }

    // What of a journal's writes the power cut left whole.
    private IEnumerable<TraceEvent> JournalWrites(SoundState sound) => run.Trace.Events.Where(entry => entry.Begin <= sound.Tick
        && (entry is { Kind: TraceKind.Write, Content: ContentClass.JournalRecord } or { Kind: TraceKind.Store or TraceKind.StoreNonTemporal })
        && entry.Offset + entry.Length <= sound.Devices[entry.Device].Length
        && sound.Devices[entry.Device].AsSpan((int)entry.Offset, (int)entry.Length).SequenceEqual(entry.Data.Span));

    // Nothing tells the newest record, once damaged, from one that a power cut tore; a write that goes astray may hit the one before as well.
    private bool HitsNewest(Damage damage, SoundState sound, [NotNullWhen(true)] out TraceEvent? oldest)
    {
        oldest = null;
        // A record is what a journal wrote between two syncs.
        TraceEvent[] syncs = [.. run.Trace.Events.Where(entry => entry.Kind is TraceKind.Flush or TraceKind.Fence or TraceKind.Persist)];
        foreach (IGrouping<(int, int), TraceEvent> record in JournalWrites(sound).Reverse().GroupBy(write => (write.Device, syncs.Count(sync => sync.Device == write.Device && sync.Begin < write.Begin))))
        {
            if (!record.Any(write => damage.Hits(write.Device, write.Offset, write.Length))) break;
            oldest = record.Last();
        }

        return oldest is not null;
    }

    // The promises that the newest records made are void when those are hit; all others hold.
    private bool IsRolledBack(GuestView seen, Damage damage, SoundState sound)
    {
        if (!HitsNewest(damage, sound, out TraceEvent? oldest)) return false;
        long tick = sound.Tick;
        long owed = run.History.Operations.Where(operation => operation.Span.Begin <= oldest.Begin && oldest.Begin <= operation.Span.End)
            .Select(operation => operation.Span.Begin).DefaultIfEmpty(oldest.Begin).Min() - 1;
        if (!run.History.MayHaveLength(seen.Disk.Length, owed) && !run.History.MayHaveLength(seen.Disk.Length, tick)) return false;
        try
        {
            run.History.JudgeRolledBack(seen.Disk, owed, tick);
            return HasSnapshotsOf(seen, owed) || HasSnapshotsOf(seen, tick);
        }
        catch (InvariantBrokenException)
        {
            return false;
        }
    }

    private bool HasSnapshotsOf(GuestView seen, long tick)
    {
        try
        {
            GuestPromises.JudgeSnapshots(run.History, seen.Snapshots, tick);
            return true;
        }
        catch (InvariantBrokenException)
        {
            return false;
        }
    }

    private static InvariantBrokenException Silent(GuestView seen, Damage damage, SoundState sound) => new(
        Invariant.I14DamageIsSeen, $"{damage.Text}; the image opens, the check finds nothing, and {seen.Broken!.Message} ({Describe(seen, sound)})", seen.Broken);

    private static string Describe(GuestView seen, SoundState sound) => seen.DifferencesFrom(sound.View) is not { } differences ? "the disks are not the same ones"
        : $"{differences.Count} sectors differ: {string.Join(", ", differences.Take(3).Select(difference => $"{difference.Sector} {Stamp.Describe(difference.Seen, difference.Sector)} for {Stamp.Describe(difference.Right, difference.Sector)}"))}";
}
