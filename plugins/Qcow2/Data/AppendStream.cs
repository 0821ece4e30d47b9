using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Data;

/// <summary>A place where the guest appends.</summary>
internal sealed class AppendStream
{
    /// <summary>The cluster that would continue it.</summary>
    public long Next { get; set; } = -1;

    /// <summary>Clusters seen in a row, up to what makes a stream.</summary>
    public int Seen { get; set; }

    /// <summary>Clusters of the last run asked for.</summary>
    public int LastRun { get; set; }

    /// <summary>The end of what is mapped ahead.</summary>
    public long MappedEnd { get; set; }

    public bool IsDue { get; set; }

    public long LastUse { get; set; }

    /// <summary>Rises when the stream ends and its place is another's.</summary>
    public int Generation { get; private set; }

    public void Restart() => (Next, Seen, LastRun, MappedEnd, Generation) = (-1, 0, 0, 0, Generation + 1);
}

/// <summary>A run of guest clusters mapped ahead: those from <see cref="Next"/> on have not been written.</summary>
internal sealed class MappedRun(AppendStream stream, long first, long end, long host)
{
    private readonly int _generation = stream.Generation;
    private long _next = first;

    public AppendStream Stream { get; } = stream;

    public long First { get; } = first;

    public long End { get; } = end;

    public long Next => Volatile.Read(ref _next);

    /// <summary>Its stream has ended.</summary>
    public bool IsAbandoned => _generation != Stream.Generation;

    public bool IsSpent => Next >= End;

    public ulong EntryOf(long cluster, int clusterBits) => (ulong)((host + (cluster - First)) << clusterBits) | Qcow2Layout.CopiedFlag;

    /// <summary>What lies before <paramref name="to"/> is written, or was stepped over and stays allocated.</summary>
    /// <returns>True when that is news.</returns>
    public bool Advance(long to)
    {
        long seen = Next;
        while (to > seen)
        {
            long before = Interlocked.CompareExchange(ref _next, to, seen);
            if (before == seen) return true;
            seen = before;
        }

        return false;
    }
}
