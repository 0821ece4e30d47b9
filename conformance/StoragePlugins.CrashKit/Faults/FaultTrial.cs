using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Damages single states of one run. Not thread-safe.</summary>
internal sealed class FaultTrial(TestedPipeline pipeline, WorkloadRun run)
{
    private const int SectorBytes = 512, LineBytes = 64;

    private readonly FaultJudge _judge = new(pipeline, run);

    /// <summary>Opens a state as the power cut left it.</summary>
    /// <returns>Null when it is broken without damage: that is for the other tiers to find.</returns>
    public SoundState? Prepare(CrashPoint point, StateChoice choice)
    {
        Machine machine = point.Machine;
        int devices = machine.Devices.Count;
        machine.BeginTrial();
        try
        {
            point.Apply(choice);
            byte[][] images = [.. machine.Devices.Select(device => device.Image.ToArray())];
            foreach (Device device in machine.Devices) device.Image.TrackReads();
            GuestView view = GuestView.Of(pipeline, machine, run.History, point.Tick);
            return view.Broken is not null || view.Corruptions > 0 ? null : new SoundState(point.Tick, images, view, [.. ReadPlaces(machine, images)]);
        }
        catch (Exception problem) when (problem is StorageException or DiagnosticException or InvariantBrokenException)
        {
            return null;
        }
        finally
        {
            foreach (Device device in machine.Devices) device.Image.StopTrackingReads();
            machine.Rollback(devices);
        }
    }

    /// <summary>Damages a state and judges what becomes of it.</summary>
    /// <param name="point">Where the power went.</param>
    /// <param name="choice">What it left.</param>
    /// <param name="sound">The same, without damage.</param>
    /// <param name="damage">The damage.</param>
    /// <returns>What became of it, and what is wrong when it is <see cref="FaultOutcome.Silent"/>.</returns>
    public (FaultOutcome Outcome, FaultFinding? Finding) Try(CrashPoint point, StateChoice choice, SoundState sound, Damage damage)
    {
        Machine machine = point.Machine;
        int devices = machine.Devices.Count;
        machine.BeginTrial();
        try
        {
            point.Apply(choice);
            damage.Apply(machine);
            return (_judge.Judge(machine, damage, sound), null);
        }
        catch (InvariantBrokenException problem)
        {
            return (FaultOutcome.Silent, new FaultFinding(damage, new BrokenState(point.Tick, choice, Tier.Fault, problem)));
        }
        finally
        {
            machine.Rollback(devices);
        }
    }

    private static IEnumerable<(int Device, long Offset)> ReadPlaces(Machine machine, byte[][] images)
    {
        for (int d = 0; d < images.Length; d++)
        {
            Device device = machine.Devices[d];
            int unit = device.Domain is null ? SectorBytes : LineBytes;
            for (long at = 0; at < images[d].Length; at += unit) if (device.Image.WasRead(at, unit)) yield return (d, at);
        }
    }
}

/// <summary>A state without damage, against which damaged ones are held.</summary>
/// <param name="Tick">When the power went.</param>
/// <param name="Devices">The devices' bytes.</param>
/// <param name="View">What the image shows.</param>
/// <param name="Read">The sectors of disks and the lines of mapped memory that were read for it.</param>
internal sealed record SoundState(long Tick, IReadOnlyList<byte[]> Devices, GuestView View, IReadOnlyList<(int Device, long Offset)> Read);

/// <summary>Damage that nobody saw, or that was met with an error that is none.</summary>
public sealed record FaultFinding
{
    internal FaultFinding(Damage damage, BrokenState state) => (Damage, State) = (damage, state);

    /// <summary>What went wrong in the device.</summary>
    public FaultKind Kind => Damage.Kind;

    /// <summary>Where.</summary>
    public string Text => Damage.Text;

    /// <summary>What is wrong.</summary>
    public InvariantBrokenException Problem => (InvariantBrokenException)State.Problem;

    internal Damage Damage { get; }

    internal BrokenState State { get; }
}
