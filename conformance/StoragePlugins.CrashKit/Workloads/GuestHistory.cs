using StoragePlugins.CrashKit.Checking;

namespace StoragePlugins.CrashKit.Workloads;

/// <summary>
/// What the guest was told, on the trace's clock: which values each sector has had, what was flushed, ordered, snapshotted. From it follows what a disk
/// may show after a power cut at any moment.
/// </summary>
/// <remarks>Recording is thread-safe; judging is not to run beside it.</remarks>
internal sealed partial class GuestHistory
{
    /// <summary>The unit in which old or new is promised.</summary>
    public const int SectorBytes = 512;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, List<SectorVersion>> _sectors = [];
    private readonly List<Interval> _flushes = [];
    private readonly List<Interval> _barriers = [];
    private readonly List<(Interval When, long Length)> _lengths = [];
    private readonly List<(long Tick, ulong Hash)> _obligations;
    private readonly byte[] _initial;
    private byte[] _now;

    /// <summary>A disk before the first operation.</summary>
    /// <param name="initial">Its content; kept, not copied.</param>
    /// <param name="salt">Distinguishes the obligations of different subjects.</param>
    public GuestHistory(byte[] initial, ulong salt)
    {
        _initial = initial;
        _now = [.. initial];
        _lengths.Add((new Interval(0) { End = 0 }, initial.Length));
        _obligations = [(0, salt)];
    }

    /// <summary>Operations, with their times and what became of them.</summary>
    public List<OperationRecord> Operations { get; } = [];

    /// <summary>Snapshots that were there at some time.</summary>
    public List<SnapshotLife> Snapshots { get; } = [];

    /// <summary>The disk's length as the guest knows it.</summary>
    public long Length => _now.Length;

    /// <summary>The longest that the disk ever was.</summary>
    public long LongestLength => _lengths.Max(length => length.Length);

    /// <summary>What the disk shows, as far as the guest knows.</summary>
    public ReadOnlySpan<byte> Now => _now;

    /// <summary>The moments at which something became owed: the telling ones for a power cut.</summary>
    public IEnumerable<long> TellingTicks => _obligations.Select(o => o.Tick);

    /// <summary>Notes that bytes are about to change. They may be there from now on.</summary>
    /// <param name="operation">Whose.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="bytes">What will be there.</param>
    /// <param name="isForced">Durable when it returns.</param>
    public List<SectorVersion> Begin(OperationRecord operation, long offset, ReadOnlySpan<byte> bytes, bool isForced)
    {
        var versions = new List<SectorVersion>();
        lock (_gate)
        {
            bytes.CopyTo(_now.AsSpan((int)offset));
            for (long s = offset / SectorBytes; s * SectorBytes < offset + bytes.Length; s++) versions.Add(AddVersion(operation, s, isForced));
        }

        return versions;
    }

    /// <summary>Notes what a range shows that did not have to become what it was announced to be: a discard.</summary>
    public void Settle(OperationRecord operation, long offset, ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            bytes.CopyTo(_now.AsSpan((int)offset));
            for (long s = offset / SectorBytes; s * SectorBytes < offset + bytes.Length; s++)
            {
                List<SectorVersion> versions = _sectors[s];
                if (!versions[^1].Content.AsSpan().SequenceEqual(Sector(_now, s))) AddVersion(operation, s, isForced: false);
            }
        }
    }

    /// <summary>Notes what the whole disk shows after its process was killed.</summary>
    public void SettleAll(OperationRecord operation, ReadOnlySpan<byte> shown)
    {
        lock (_gate)
        {
            if (shown.Length != _now.Length) Array.Resize(ref _now, shown.Length);
            for (long s = 0; s * SectorBytes < shown.Length; s++)
            {
                Span<byte> sector = Sector(_now, s);
                if (shown.Slice((int)(s * SectorBytes), sector.Length).SequenceEqual(sector)) continue;
                shown.Slice((int)(s * SectorBytes), sector.Length).CopyTo(sector);
                AddVersion(operation, s, isForced: false);
            }
        }
    }

    /// <summary>A flush that covers what had returned at <paramref name="begin"/>.</summary>
    public void Flushed(long begin, long end)
    {
        lock (_gate) _flushes.Add(new Interval(begin) { End = end });
        Owe(end);
    }

    /// <summary>A barrier.</summary>
    public void Ordered(long begin, long end)
    {
        lock (_gate) _barriers.Add(new Interval(begin) { End = end });
    }

    /// <summary>From <paramref name="tick"/> on something new is owed.</summary>
    public void Owe(long tick)
    {
        lock (_gate)
        {
            ulong hash = _obligations[^1].Hash;
            foreach (OperationRecord done in Operations) if (done.Span.Begin > _obligations[^1].Tick) hash = (hash ^ (ulong)string.GetHashCode(done.Operation.ToString(), StringComparison.Ordinal)) * 0x9e37_79b9_7f4a_7c15;
            _obligations.Add((tick, hash * 31));
        }
    }

    /// <summary>A hash of what is owed at a tick: after the same operations up to the last promise, the same.</summary>
    public ulong ObligationAt(long tick)
    {
        int low = 0, high = _obligations.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (_obligations[middle].Tick <= tick) low = middle;
            else high = middle - 1;
        }

        return _obligations[low].Hash;
    }

    /// <summary>The length is about to change.</summary>
    public Interval Resizing(OperationRecord operation, long length)
    {
        lock (_gate)
        {
            var span = new Interval(operation.Span.Begin);
            _lengths.Add((span, length));
            for (long s = length / SectorBytes; s * SectorBytes < _now.Length; s++)
            {
                Sector(_now, s).Clear();
                AddVersion(operation, s, isForced: true);
            }

            Array.Resize(ref _now, (int)length);
            return span;
        }
    }

    /// <summary>It was refused.</summary>
    public void NeverResized(Interval span)
    {
        lock (_gate) _lengths.RemoveAll(length => length.When == span);
    }

    /// <summary>What may the length be after a power cut at this tick?</summary>
    public bool MayHaveLength(long length, long tick)
    {
        int settled = _lengths.FindLastIndex(l => l.When.End <= tick);
        return _lengths.Where((l, i) => i >= settled && l.When.Begin <= tick).Any(l => l.Length == length);
    }

    /// <summary>Judges what the disk shows after a power cut.</summary>
    /// <exception cref="InvariantBrokenException">It shows what it must not.</exception>
    public void Judge(ReadOnlySpan<byte> shown, long tick)
    {
        JudgeSectors(shown, tick, tick, out long orderedTo, out long witness);
        if (_barriers.Count > 0) JudgeOrder(shown, tick, orderedTo, witness);
    }

    /// <summary>Judges what the disk shows when the last promises before a power cut are void.</summary>
    /// <param name="shown">The disk.</param>
    /// <param name="owed">The promises of this tick hold.</param>
    /// <param name="tick">What was submitted by this tick may be there.</param>
    /// <exception cref="InvariantBrokenException">It shows what it must not.</exception>
    public void JudgeRolledBack(ReadOnlySpan<byte> shown, long owed, long tick) => JudgeSectors(shown, owed, tick, out _, out _);

    private void JudgeSectors(ReadOnlySpan<byte> shown, long owed, long tick, out long orderedTo, out long witness)
    {
        (orderedTo, witness) = (long.MinValue, -1);
        for (long s = 0; s * SectorBytes < shown.Length; s++)
        {
            ReadOnlySpan<byte> sector = shown[(int)(s * SectorBytes)..Math.Min(shown.Length, (int)((s + 1) * SectorBytes))];
            if (!_sectors.TryGetValue(s, out List<SectorVersion>? versions))
            {
                if (!sector.SequenceEqual(Initial(s, sector.Length))) throw Wrong(Invariant.I5OldOrNew, s, sector, tick, "which nobody ever wrote");
                continue;
            }

            int oldest = OldestAllowed(versions, owed);
            int found = Find(versions, sector, oldest, tick);
            if (found < 0) throw Explain(s, sector, versions, oldest, tick);
            if (_barriers.Count > 0 && versions[found].Span.Begin > orderedTo) (orderedTo, witness) = (versions[found].Span.Begin, s);
        }
    }

    private static Span<byte> Sector(byte[] disk, long s) => disk.AsSpan((int)(s * SectorBytes), (int)Math.Min(SectorBytes, disk.Length - (s * SectorBytes)));

    // The oldest match: a sector that was zero twice proves only the first.
    private static int Find(List<SectorVersion> versions, ReadOnlySpan<byte> sector, int oldest, long tick)
    {
        for (int v = oldest; v < versions.Count && versions[v].Span.Begin <= tick; v++)
        {
            ReadOnlySpan<byte> content = versions[v].Content;
            if (sector.SequenceEqual(content[..Math.Min(content.Length, sector.Length)])) return v;
        }

        return -1;
    }

    private ReadOnlySpan<byte> Initial(long s, int length) =>
        (s * SectorBytes) + length <= _initial.Length ? _initial.AsSpan((int)(s * SectorBytes), length) : Zeros.AsSpan(0, length);

    private static readonly byte[] Zeros = new byte[SectorBytes];

    private SectorVersion AddVersion(OperationRecord operation, long s, bool isForced)
    {
        if (!_sectors.TryGetValue(s, out List<SectorVersion>? versions))
        {
            byte[] initial = new byte[SectorBytes];
            if (s * SectorBytes < _initial.Length) Sector(_initial, s).CopyTo(initial);
            _sectors.Add(s, versions = [new SectorVersion(new Interval(0) { End = 0 }, initial, null, true)]);
        }

        byte[] content = new byte[SectorBytes];
        Sector(_now, s).CopyTo(content);
        var version = new SectorVersion(operation.Span, content, operation, isForced);
        versions.Add(version);
        return version;
    }

    private int OldestAllowed(List<SectorVersion> versions, long tick)
    {
        for (int v = versions.Count - 1; v > 0; v--) if (IsDurable(versions[v], tick)) return v;
        return 0;
    }

    private bool IsDurable(SectorVersion version, long tick)
    {
        if (version.Span.End > tick) return false;
        if (version.IsForced) return true;
        foreach (Interval flush in _flushes) if (version.Span.End <= flush.Begin && flush.End <= tick) return true;
        return false;
    }

    // Of what returned before a barrier nothing may be missing where something after that barrier is there.
    private void JudgeOrder(ReadOnlySpan<byte> shown, long tick, long newest, long witness)
    {
        Interval? barrier = _barriers.LastOrDefault(b => b.End <= newest);
        if (barrier is null) return;
        foreach ((long s, List<SectorVersion> versions) in _sectors)
        {
            if (s * SectorBytes >= shown.Length) continue;
            int least = versions.FindLastIndex(v => v.Span.End <= barrier.Begin);
            ReadOnlySpan<byte> sector = shown[(int)(s * SectorBytes)..Math.Min(shown.Length, (int)((s + 1) * SectorBytes))];
            if (least > 0 && Find(versions, sector, least, tick) < 0)
                throw Wrong(Invariant.I6Order, s, sector, tick, $"though sector {witness} shows what was written after a barrier that came after '{versions[least].Operation?.Operation}'");
        }
    }

    private static InvariantBrokenException Explain(long s, ReadOnlySpan<byte> sector, List<SectorVersion> versions, int oldest, long tick)
    {
        int lost = -1;
        for (int v = 0; v < oldest; v++) if (sector.SequenceEqual(versions[v].Content.AsSpan(0, sector.Length))) lost = v;
        if (lost >= 0)
        {
            return Wrong(Invariant.I4Durable, s, sector, tick,
                $"the value of {Name(versions[lost])}, though {Name(versions[oldest])} was made durable");
        }

        string allowed = string.Join(", ", versions.Skip(oldest).Where(v => v.Span.Begin <= tick).Select(Name).Distinct());
        return Wrong(Invariant.I5OldOrNew, s, sector, tick, $"allowed: {allowed}");
    }

    private static string Name(SectorVersion version) => version.Operation is { } operation ? $"operation {operation.Number} ({operation.Operation})" : "the new disk";

    private static InvariantBrokenException Wrong(Invariant invariant, long s, ReadOnlySpan<byte> sector, long tick, string why) =>
        new(invariant, $"sector {s} (byte {s * SectorBytes}) shows {Stamp.Describe(sector, s)}, {why} (power cut at tick {tick})");
}

/// <summary>From submission to return, in ticks.</summary>
internal sealed class Interval(long begin)
{
    public long Begin { get; } = begin;

    public long End { get; set; } = long.MaxValue;
}

/// <summary>A value that a sector had.</summary>
internal sealed record SectorVersion(Interval Span, byte[] Content, OperationRecord? Operation, bool IsForced);

/// <summary>An operation that was run.</summary>
internal sealed record OperationRecord(int Number, GuestOperation Operation, Interval Span)
{
    /// <summary>What became of it, when that is not plain.</summary>
    public string? Outcome { get; set; }
}

/// <summary>A snapshot from its creation to its deletion.</summary>
internal sealed record SnapshotLife(string Name, Interval Created, byte[] Content)
{
    public Interval? Deleted { get; set; }
}
