using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Chooses the errors that a workload is to meet while it runs.</summary>
internal static class RunningFaults
{
    /// <summary>How far the power cuts after an error are explored: several runs share the time of one.</summary>
    public static ChooserLimits Limits { get; } = new() { StatesPerPoint = 10, FullSubsetRequests = 2, FullAtomStates = 8, Pairs = 2, RandomPerEpoch = 4 };

    /// <summary>One error of each kind that the run can meet, at a random one of the calls that it made.</summary>
    public static IEnumerable<DeviceFault> Of(Trace trace, Random random)
    {
        int flushes = Count(trace, entry => entry.Kind is TraceKind.Flush or TraceKind.Fence or TraceKind.Persist);
        int barriers = Count(trace, entry => entry.Kind == TraceKind.Barrier);
        int writes = Count(trace, entry => entry.ChangesContent);
        foreach ((FaultKind kind, int calls) in new[]
        {
            (FaultKind.FlushFails, flushes), (FaultKind.BarrierFails, barriers), (FaultKind.WriteFails, writes), (FaultKind.NoSpace, writes), (FaultKind.ShortWrite, writes),
        })
        {
            if (calls > 0) yield return new DeviceFault(kind, random.Next(calls));
        }
    }

    private static int Count(Trace trace, Func<TraceEvent, bool> isOne) => trace.Events.Count(isOne);
}
