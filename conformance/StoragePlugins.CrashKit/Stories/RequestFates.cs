using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>What a power cut made of each request.</summary>
internal sealed class RequestFates
{
    private readonly Dictionary<int, (int Kept, int Lost, int Safe)> _parts = [];
    private readonly HashSet<int> _growthLost = [];

    /// <summary>At a point, by a choice.</summary>
    public RequestFates(CrashPoint point, StateChoice choice)
    {
        for (int i = 0; i < point.Slots.Count; i++)
        {
            Slot slot = point.Slots[i];
            for (int v = 1; v <= slot.Newest; v++)
            {
                TraceEvent cause = slot.Versions[v].Cause!;
                if (slot.IsLength && cause.Kind != TraceKind.SetLength)
                {
                    // A file's growth is no part of the write that made it longer, but without it what was written past the end is not there.
                    if (v > choice.Versions[i]) _growthLost.Add(cause.Index);
                    continue;
                }

                (int kept, int lost, int safe) = _parts.GetValueOrDefault(cause.Index);
                _parts[cause.Index] = v <= slot.Floor ? (kept, lost, safe + 1) : v <= choice.Versions[i] ? (kept + 1, lost, safe) : (kept, lost + 1, safe);
            }
        }
    }

    /// <summary>Parts of a request that could have been lost and were not, and that were. Nothing of either: it was durable, or changed nothing.</summary>
    public (int Kept, int Lost) PartsOf(TraceEvent entry)
    {
        (int kept, int lost, int safe) = _parts.GetValueOrDefault(entry.Index);
        return lost == 0 && kept == 0 ? default : (kept + safe, lost);
    }

    /// <summary>The file is shorter than a write had made it.</summary>
    public bool IsGrowthLost(TraceEvent entry) => _growthLost.Contains(entry.Index);

    /// <summary>The requests of which something was lost, in the order of submission.</summary>
    public static IEnumerable<TraceEvent> LostAt(CrashPoint point, StateChoice choice)
    {
        var lost = new SortedDictionary<int, TraceEvent>();
        for (int i = 0; i < point.Slots.Count; i++)
            for (int v = choice.Versions[i] + 1; v <= point.Slots[i].Newest; v++) if (point.Slots[i].Versions[v].Cause is { } cause) lost[cause.Index] = cause;
        return lost.Values;
    }
}
