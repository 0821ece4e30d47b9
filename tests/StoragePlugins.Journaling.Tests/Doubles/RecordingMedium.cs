namespace StoragePlugins.Journaling.Tests.Doubles;

/// <summary>
/// An image in memory that remembers writes and syncs, so that the states which a power cut can leave are made from them; it can fail on demand.
/// </summary>
internal sealed class RecordingMedium(byte[] start) : IOrderedMedium, IDeallocatingMedium, INonBlockingMedium, IPreallocatingMedium
{
    public const int Sector = 512;

    private readonly Lock _lock = new();
    private byte[] _bytes = [.. start];
    private int _length = start.Length;
    private bool _poisoned;

    public List<Event> Events { get; } = [];

    /// <summary>Off for tests that only count or run long.</summary>
    public bool Records { get; init; } = true;

    /// <summary>A mutant: flushes and barriers do nothing.</summary>
    public bool IgnoresSyncs { get; init; }

    /// <summary>Called before each operation ("write", "flush", "barrier", "length"); throws to make it fail.</summary>
    public Action<string, long, int, ContentClass>? Before { get; set; }

    public int Writes { get; private set; }

    public long WrittenBytes { get; private set; }

    public int Flushes { get; private set; }

    public int Barriers { get; private set; }

    public string Name => "memory";

    public long Length
    {
        get
        {
            lock (_lock) return _length;
        }
    }

    public bool IsReadOnly { get; init; }

    public int Read(long offset, Span<byte> buffer)
    {
        lock (_lock)
        {
            int there = (int)Math.Clamp(_length - offset, 0, buffer.Length);
            if (there > 0) _bytes.AsSpan((int)offset, there).CopyTo(buffer);
            return there;
        }
    }

    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "write", Name, offset, data.Length, "it was opened read-only");
        ThrowIfPoisoned();
        Before?.Invoke("write", offset, data.Length, content);
        lock (_lock)
        {
            Grow(offset + data.Length);
            data.CopyTo(_bytes.AsSpan((int)offset));
            Writes++;
            WrittenBytes += data.Length;
            if (Records) Events.Add(new Event(EventKind.Write, offset, data.ToArray(), content));
        }
    }

    public void SetLength(long length)
    {
        ThrowIfPoisoned();
        Before?.Invoke("length", length, 0, ContentClass.GuestData);
        lock (_lock)
        {
            if (length < _length) _bytes.AsSpan((int)length, _length - (int)length).Clear();
            else Grow(length);
            _length = (int)length;
            if (Records) Events.Add(new Event(EventKind.Length, length, [], ContentClass.GuestData));
        }
    }

    public void Barrier() => Sync("barrier");

    public void Flush() => Sync("flush");

    public bool TryPunchHole(long offset, long length) => TryZeroRange(offset, length);

    public bool TryZeroRange(long offset, long length)
    {
        int there = (int)Math.Clamp(Length - offset, 0, length);
        if (there > 0) Write(offset, new byte[there], ContentClass.GuestData);
        return true;
    }

    public void Preallocate(long offset, long length) => Write(offset, new byte[length], ContentClass.Preallocation);

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }

    public byte[] Copy()
    {
        lock (_lock) return _bytes.AsSpan(0, _length).ToArray();
    }

    /// <summary>A state that a power cut after <paramref name="cut"/> events can leave.</summary>
    /// <param name="cut">Events that have happened.</param>
    /// <param name="variant">0: all of them; 1: of what no sync covers any subset of sectors; 2: any subset of writes; 3: nothing.</param>
    /// <param name="random">Chooses.</param>
    /// <param name="isLost">A mutant: writes that never persist.</param>
    public byte[] StateAt(int cut, int variant, Random random, Func<Event, bool>? isLost = null)
    {
        int durable = cut;
        while (durable > 0 && Events[durable - 1].Kind != EventKind.Sync) durable--;
        byte[] state = [.. start];
        for (int i = 0; i < cut; i++)
        {
            Event e = Events[i];
            if (e.Kind == EventKind.Sync || isLost?.Invoke(e) == true) continue;
            if (i >= durable && (variant == 3 || (variant == 2 && random.Next(2) == 0))) continue;
            if (e.Kind == EventKind.Length) Array.Resize(ref state, (int)e.Offset);
            else Persist(ref state, e, i >= durable && variant == 1 ? random : null);
        }

        return state;
    }

    private static void Persist(ref byte[] state, Event e, Random? some)
    {
        for (long at = e.Offset; at < e.Offset + e.Data.Length;)
        {
            long end = Math.Min(e.Offset + e.Data.Length, (at / Sector * Sector) + Sector);
            if (some is null || some.Next(2) == 0)
            {
                if (end > state.Length) Array.Resize(ref state, (int)end);
                e.Data.AsSpan((int)(at - e.Offset), (int)(end - at)).CopyTo(state.AsSpan((int)at));
            }

            at = end;
        }
    }

    private void Sync(string operation)
    {
        ThrowIfPoisoned();
        try
        {
            Before?.Invoke(operation, -1, 0, ContentClass.GuestData);
        }
        catch (StorageException e)
        {
            _poisoned = true;
            throw new DurabilityLostException(operation, Name, e.Message, e);
        }

        lock (_lock)
        {
            if (operation == "flush") Flushes++;
            else Barriers++;
            if (Records && !IgnoresSyncs) Events.Add(new Event(EventKind.Sync, 0, [], ContentClass.GuestData));
        }
    }

    private void ThrowIfPoisoned()
    {
        if (_poisoned) throw new DurabilityLostException("flush", Name, "an earlier one failed");
    }

    private void Grow(long end)
    {
        if (end > _bytes.Length) Array.Resize(ref _bytes, (int)Math.Max(end, _bytes.Length * 2));
        _length = Math.Max(_length, (int)end);
    }

    public enum EventKind
    {
        Write,
        Sync,
        Length,
    }

    public sealed record Event(EventKind Kind, long Offset, byte[] Data, ContentClass Content);
}
