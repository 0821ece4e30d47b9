namespace StoragePlugins.Qcow2.Data;

/// <summary>
/// One allocation at a time per guest cluster: a second writer of an unallocated cluster waits until the first has recorded its mapping,
/// and then writes in place. In-place writes do not come here.
/// </summary>
internal sealed class AllocationGate
{
    private readonly List<(long First, long Last)> _inside = [];

    /// <summary>Waits until no allocation of an overlapping range is under way, and keeps others out of it.</summary>
    public Pass Enter(long first, long last)
    {
        lock (_inside)
        {
            while (Overlaps(first, last)) Monitor.Wait(_inside);
            _inside.Add((first, last));
        }

        return new Pass(this, first, last);
    }

    private bool Overlaps(long first, long last)
    {
        foreach ((long f, long l) in _inside)
        {
            if (first <= l && f <= last) return true;
        }

        return false;
    }

    /// <summary>A range held; dispose it once.</summary>
    public readonly struct Pass(AllocationGate gate, long first, long last) : IDisposable
    {
        public void Dispose()
        {
            lock (gate._inside)
            {
                gate._inside.Remove((first, last));
                Monitor.PulseAll(gate._inside);
            }
        }
    }
}
