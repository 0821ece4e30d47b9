using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Models;

/// <summary>Moves along a trace, forwards, and knows at each moment what a power cut could leave. Not thread-safe.</summary>
internal sealed class TraceCursor
{
    private readonly (long Tick, TraceEvent Entry, bool IsEnd)[] _steps;
    private readonly Machine _machine;
    private readonly DeviceModel[] _models;
    private int _next;

    /// <summary>A cursor before the first event.</summary>
    /// <param name="start">The machine before the trace; copied.</param>
    /// <param name="trace">What happened.</param>
    /// <param name="model">What a device promises.</param>
    /// <param name="atom">Bytes that a disk writes whole: 512 or 4096.</param>
    public TraceCursor(Machine start, Trace trace, PersistenceModel model, int atom = 512)
    {
        _machine = start.Copy();
        _models = [.. _machine.Devices.Select((device, index) => ModelOf(device, index, model, atom))];
        var steps = new List<(long, TraceEvent, bool)>(trace.Events.Count * 2);
        foreach (TraceEvent entry in trace.Events)
        {
            steps.Add((entry.Begin, entry, false));
            if (entry.End != TraceEvent.Never) steps.Add((entry.End, entry, true));
        }

        steps.Sort((a, b) => a.Item1.CompareTo(b.Item1));
        _steps = [.. steps];
    }

    /// <summary>Takes everything in up to a tick, which must not be before the present one.</summary>
    public void MoveTo(long tick)
    {
        for (; _next < _steps.Length && _steps[_next].Tick <= tick; _next++)
        {
            (_, TraceEvent entry, bool isEnd) = _steps[_next];
            if (isEnd) _models[entry.Device].End(entry);
            else _models[entry.Device].Begin(entry);
        }

        Tick = tick;
    }

    public long Tick { get; private set; }

    /// <summary>What a power cut here would decide about. Valid until the cursor moves.</summary>
    public CrashPoint Here()
    {
        var slots = new List<Slot>();
        ulong hash = 0;
        foreach (DeviceModel model in _models)
        {
            hash ^= model.BaseHash;
            model.CollectSlots(slots);
        }

        return new CrashPoint(Tick, _machine, hash, slots);
    }

    private static DeviceModel ModelOf(Device device, int index, PersistenceModel model, int atom)
    {
        if (device.Domain is not { } domain) return new BlockModel(index, device.Image, atom, model == PersistenceModel.Barrier);
        return domain == PersistenceDomain.Msync ? new BlockModel(index, device.Image, atom, keepsBarriers: false)
            : new MemoryModel(index, device.Image, domain == PersistenceDomain.Eadr);
    }
}
