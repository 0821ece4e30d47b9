namespace StoragePlugins.CrashKit.Recording;

/// <summary>
/// Everything that was asked of the devices of a machine, in the order of submission, on one clock. The guest's own requests are timed by the same
/// clock, so that what was acknowledged before a power cut is known.
/// </summary>
/// <remarks>Thread-safe. Bounded: beyond <see cref="MaxBytes"/> of data or <see cref="MaxEvents"/> it throws.</remarks>
public sealed class Trace
{
    /// <summary>The most bytes of data that a trace keeps.</summary>
    public const long MaxBytes = 1L << 30;

    /// <summary>The most entries.</summary>
    public const int MaxEvents = 4_000_000;

    private readonly Lock _gate = new();
    private readonly List<TraceEvent> _events = [];
    private long _clock;
    private long _bytes;

    /// <summary>An empty trace.</summary>
    public Trace()
    {
    }

    /// <summary>A trace that was recorded before.</summary>
    /// <param name="events">The entries, kept.</param>
    /// <param name="now">Its last tick.</param>
    internal Trace(IEnumerable<TraceEvent> events, long now)
    {
        _events.AddRange(events);
        _bytes = _events.Sum(entry => (long)entry.Data.Length);
        _clock = now;
    }

    /// <summary>The entries. Not to be read while others record.</summary>
    public IReadOnlyList<TraceEvent> Events => _events;

    /// <summary>The present tick.</summary>
    public long Now
    {
        get
        {
            lock (_gate) return _clock;
        }
    }

    /// <summary>Moves the clock on; for what is timed and not an entry.</summary>
    public long Tick()
    {
        lock (_gate) return ++_clock;
    }

    /// <summary>Records a submission. The data is copied.</summary>
    public TraceEvent Begin(
        TraceKind kind, int device, long offset = 0, long length = 0, ReadOnlySpan<byte> data = default, ContentClass content = default, bool isForced = false, string? text = null)
    {
        ReadOnlyMemory<byte> copy = data.IsEmpty ? default : data.ToArray();
        lock (_gate)
        {
            _bytes += data.Length;
            if (_bytes > MaxBytes || _events.Count >= MaxEvents)
                throw new InvalidOperationException($"A trace holds at most {MaxEvents} entries and {MaxBytes >> 20} MiB.");
            var entry = new TraceEvent
            {
                Index = _events.Count, Kind = kind, Device = device, Begin = ++_clock, Offset = offset, Length = length, Data = copy,
                Content = content, IsForced = isForced, Thread = Environment.CurrentManagedThreadId, Text = text,
            };
            _events.Add(entry);
            return entry;
        }
    }

    /// <summary>Records that it returned.</summary>
    public void End(TraceEvent entry)
    {
        lock (_gate) entry.End = ++_clock;
    }

    /// <summary>Records that it failed.</summary>
    public void Fail(TraceEvent entry)
    {
        lock (_gate)
        {
            entry.HasFailed = true;
            entry.End = ++_clock;
        }
    }

    /// <summary>Records what takes no time.</summary>
    public TraceEvent Add(
        TraceKind kind, int device, long offset = 0, long length = 0, ReadOnlySpan<byte> data = default, ContentClass content = default, bool isForced = false, string? text = null)
    {
        TraceEvent entry = Begin(kind, device, offset, length, data, content, isForced, text);
        End(entry);
        return entry;
    }
}
