using System.Runtime.InteropServices;

namespace StoragePlugins.BarrierFS.Deferred;

/// <summary>
/// Operations in the order in which the medium will get them, with the ends of epochs between them, and an index of the held bytes by
/// region. Every member but <see cref="IsEmpty"/>, <see cref="End"/> and <see cref="Stamp"/> is called under the owner's lock.
/// </summary>
/// <remarks>
/// A write is held in pieces that never cross a region, so that each piece is in one chain of the index. Writes of the open epoch that
/// follow on the newest entry, or lie within the newest entry that they touch, go into that entry: an epoch has no order inside.
/// </remarks>
internal sealed class EpochQueue(long memoryLimit)
{
    /// <summary>Pieces and index: the largest buffer.</summary>
    private const int RegionBytes = BufferPool.LargeBytes;

    /// <summary>Counters that tell readers of retired pieces; regions share them by hash.</summary>
    private const int Stamps = 1024;

    private readonly BufferPool _buffers = new(memoryLimit);
    private readonly Dictionary<long, Chain> _regions = [];
    private readonly int[] _stamps = new int[Stamps];
    private HeldOperation? _tail;
    private HeldOperation? _free;
    private long _lastTicket;
    private long _lastEpochEnd;
    private long _end;
    private volatile HeldOperation? _head;

    /// <summary>Whether nothing is held: the medium has everything. May be read without the lock.</summary>
    public bool IsEmpty => _head is null;

    /// <summary>The oldest entry.</summary>
    public HeldOperation? Head => _head;

    /// <summary>Epochs that are closed and not synced.</summary>
    public int ClosedEpochs { get; private set; }

    /// <summary>Whether the newest entry is the end of an epoch.</summary>
    public bool IsOpenEpochEmpty => _tail is { Kind: HeldKind.EpochEnd };

    /// <summary>Everything up to this ticket is done.</summary>
    public long RetiredTicket { get; private set; }

    /// <summary>Where the farthest held write ends; 0 without. May be read without the lock.</summary>
    public long End => Volatile.Read(ref _end);

    /// <summary>Bytes of the buffers in use.</summary>
    public long HeldBytes => _buffers.LentBytes;

    /// <summary>How much of a range lies in its first region.</summary>
    public static int PieceLength(long offset, int length) => (int)Math.Min(RegionBytes - (offset % RegionBytes), length);

    /// <summary>Changes whenever a held write of the region leaves the queue. May be read without the lock.</summary>
    public int Stamp(long offset) => Volatile.Read(ref _stamps[StampIndex(offset)]);

    /// <summary>Holds a piece of a write.</summary>
    /// <returns>False when there is no room for it now.</returns>
    public bool TryHold(long offset, ReadOnlySpan<byte> piece, ContentClass content)
    {
        if (TryMerge(offset, piece, content)) return true;
        if (_buffers.TryRent(piece.Length) is not { } buffer) return false;
        piece.CopyTo(buffer);
        HeldOperation entry = Append(HeldKind.Write, offset, piece.Length);
        entry.Buffer = buffer;
        entry.Content = content;
        ref Chain chain = ref CollectionsMarshal.GetValueRefOrAddDefault(_regions, offset / RegionBytes, out _);
        entry.Older = chain.Newest;
        if (chain.Newest is { } older) older.Newer = entry;
        else chain.Oldest = entry;
        chain.Newest = entry;
        GrowEnd(offset + piece.Length);
        return true;
    }

    /// <summary>Appends an operation without bytes.</summary>
    public HeldOperation Append(HeldKind kind, long offset, long length)
    {
        HeldOperation entry = _free ?? new HeldOperation();
        _free = entry.Next;
        entry.Next = null;
        entry.Kind = kind;
        entry.Offset = offset;
        entry.Length = length;
        entry.IsStarted = false;
        entry.Error = null;
        entry.Ticket = ++_lastTicket;
        if (_tail is { } tail) tail.Next = entry;
        else _head = entry;
        _tail = entry;
        return entry;
    }

    /// <summary>Ends the open epoch, unless nothing was written since the last end.</summary>
    /// <returns>The ticket of the newest end.</returns>
    public long CloseEpoch()
    {
        if (IsOpenEpochEmpty) return _lastEpochEnd;
        ClosedEpochs++;
        _lastEpochEnd = Append(HeldKind.EpochEnd, 0, 0).Ticket;
        return _lastEpochEnd;
    }

    /// <summary>Takes the oldest entry out: the medium has it. An operation with a waiting caller is given back by that caller.</summary>
    public void Retire()
    {
        HeldOperation entry = _head!;
        RetiredTicket = entry.Ticket;
        _head = entry.Next;
        if (entry.Next is null) _tail = null;
        entry.Next = null;
        switch (entry.Kind)
        {
            case HeldKind.Write:
                Unindex(entry);
                _buffers.Return(entry.Buffer!);
                entry.Buffer = null;
                Recycle(entry);
                break;
            case HeldKind.EpochEnd:
                ClosedEpochs--;
                Recycle(entry);
                break;
            case HeldKind.SetLength:
                RecomputeEnd();
                break;
        }

        if (_head is null) Volatile.Write(ref _end, 0);
    }

    /// <summary>Takes an entry for later use.</summary>
    public void Recycle(HeldOperation entry)
    {
        entry.Next = _free;
        _free = entry;
    }

    /// <summary>Whether any held byte may lie in the range.</summary>
    public bool Touches(long offset, int length)
    {
        for (long region = offset / RegionBytes; region <= (offset + length - 1) / RegionBytes; region++)
        {
            if (_regions.ContainsKey(region)) return true;
        }

        return false;
    }

    /// <summary>Puts the held bytes over what the medium has of a piece, oldest first.</summary>
    public void Overlay(long offset, Span<byte> piece)
    {
        if (!_regions.TryGetValue(offset / RegionBytes, out Chain chain)) return;
        for (HeldOperation? entry = chain.Oldest; entry is not null; entry = entry.Newer)
        {
            long from = Math.Max(offset, entry.Offset), to = Math.Min(offset + piece.Length, entry.Offset + entry.Length);
            if (from < to) entry.Bytes[(int)(from - entry.Offset)..(int)(to - entry.Offset)].CopyTo(piece[(int)(from - offset)..]);
        }
    }

    private static int StampIndex(long offset) => (int)((ulong)(offset / RegionBytes) % Stamps);

    private bool TryMerge(long offset, ReadOnlySpan<byte> piece, ContentClass content)
    {
        long end = offset + piece.Length;
        if (_tail is { Kind: HeldKind.Write, IsStarted: false } last && last.Content == content && last.Offset + last.Length == offset
            && offset % RegionBytes != 0 && end - last.Offset <= last.Buffer!.Length)
        {
            piece.CopyTo(last.Buffer.AsSpan((int)last.Length));
            last.Length += piece.Length;
            GrowEnd(end);
            return true;
        }

        if (!_regions.TryGetValue(offset / RegionBytes, out Chain chain)) return false;
        HeldOperation? entry = chain.Newest;
        while (entry is not null && (entry.Offset >= end || entry.Offset + entry.Length <= offset)) entry = entry.Older;
        if (entry is null || entry.IsStarted || entry.Content != content || entry.Ticket < _lastEpochEnd
            || entry.Offset > offset || entry.Offset + entry.Length < end) return false;
        piece.CopyTo(entry.Buffer.AsSpan((int)(offset - entry.Offset)));
        return true;
    }

    private void Unindex(HeldOperation entry)
    {
        // The oldest entry of all is the oldest of its region.
        long region = entry.Offset / RegionBytes;
        ref Chain chain = ref CollectionsMarshal.GetValueRefOrNullRef(_regions, region);
        chain.Oldest = entry.Newer;
        if (entry.Newer is { } newer) newer.Older = null;
        else _regions.Remove(region);
        entry.Newer = null;
        entry.Older = null;
        Interlocked.Increment(ref _stamps[StampIndex(entry.Offset)]);
    }

    private void GrowEnd(long end)
    {
        if (end > _end) Volatile.Write(ref _end, end);
    }

    private void RecomputeEnd()
    {
        long end = 0;
        for (HeldOperation? entry = _head; entry is not null; entry = entry.Next)
        {
            if (entry.Kind == HeldKind.Write) end = Math.Max(end, entry.Offset + entry.Length);
        }

        Volatile.Write(ref _end, end);
    }

    private struct Chain
    {
        public HeldOperation? Newest;
        public HeldOperation? Oldest;
    }
}
