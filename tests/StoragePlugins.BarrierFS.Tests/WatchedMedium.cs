namespace StoragePlugins.BarrierFS.Tests;

/// <summary>What reached a <see cref="WatchedMedium"/>, in order; the bytes of a write belong to the start of it.</summary>
internal enum WatchedEvent
{
    WriteStart = 0,
    WriteEnd,
    SyncStart,
    SyncEnd,
    Other,
}

/// <summary>One line of its log.</summary>
/// <param name="Event">What.</param>
/// <param name="Call">Start and end of one call have the same.</param>
/// <param name="Offset">Of a write.</param>
/// <param name="Bytes">Of a write's start.</param>
internal sealed record WatchedLine(WatchedEvent Event, int Call, long Offset, byte[] Bytes);

/// <summary>A thread-safe medium in memory at which a test sees every call begin and end, holds up syncs, and makes calls fail.</summary>
internal sealed class WatchedMedium : IStorageMedium, IFlushableMedium, IDeallocatingMedium, IPreallocatingMedium, INonBlockingMedium, ISparseMedium, IFileMedium, IWriteCacheMedium
{
    private readonly Lock _gate = new();
    private byte[] _bytes = [];
    private long _length;
    private int _calls;
    private int _syncs;

    /// <summary>Every call; null to keep none.</summary>
    public List<WatchedLine>? Log { get; init; } = [];

    /// <summary>Lets syncs through; closed, they wait inside the call.</summary>
    public ManualResetEventSlim SyncGate { get; } = new(true);

    /// <summary>Called inside a call before anything is done: "write", "fdatasync", "punch", "zero", "length", "preallocate".</summary>
    public Action<string>? Before { get; set; }

    /// <summary>Called inside a call when its bytes are moved, before it returns: "read", "write".</summary>
    public Action<string>? After { get; set; }

    /// <summary>Syncs that were begun.</summary>
    public int Syncs => Volatile.Read(ref _syncs);

    public string Name => "watched";

    public bool IsReadOnly => false;

    public long Length => Volatile.Read(ref _length);

    public Microsoft.Win32.SafeHandles.SafeFileHandle Handle => throw new InvalidOperationException("Nobody may ask.");

    public string Path => throw new InvalidOperationException("Nobody may ask.");

    public WriteCacheKind WriteCache => WriteCacheKind.Volatile;

    public bool IsDisposed { get; private set; }

    public T? GetCapability<T>() where T : class => this as T;

    public int Read(long offset, Span<byte> buffer)
    {
        int there;
        lock (_gate)
        {
            there = (int)Math.Clamp(_length - offset, 0, buffer.Length);
            _bytes.AsSpan((int)Math.Min(offset, _bytes.Length), there).CopyTo(buffer);
        }

        After?.Invoke("read");
        return there;
    }

    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        int call = Note(WatchedEvent.WriteStart, 0, offset, Log is null ? [] : data.ToArray());
        Before?.Invoke("write");
        lock (_gate)
        {
            Grow(offset + data.Length);
            data.CopyTo(_bytes.AsSpan((int)offset));
        }

        After?.Invoke("write");
        Note(WatchedEvent.WriteEnd, call, offset, []);
    }

    public void SetLength(long length)
    {
        Note(WatchedEvent.Other, 0, length, []);
        Before?.Invoke("length");
        lock (_gate)
        {
            if (length < _length) _bytes.AsSpan((int)length).Clear();
            else Grow(length);
            Volatile.Write(ref _length, length);
        }
    }

    public void FlushData()
    {
        Interlocked.Increment(ref _syncs);
        int call = Note(WatchedEvent.SyncStart, 0, 0, []);
        SyncGate.Wait();
        Before?.Invoke("fdatasync");
        Note(WatchedEvent.SyncEnd, call, 0, []);
    }

    public void FlushAll() => throw new InvalidOperationException("fdatasync is enough.");

    public bool TryPunchHole(long offset, long length) => Zero("punch", offset, length);

    public bool TryZeroRange(long offset, long length) => Zero("zero", offset, length);

    public void Preallocate(long offset, long length) => Zero("preallocate", offset, length);

    public (long Length, bool IsHole) DescribeRun(long offset) => (Length - offset, true);

    public void Dispose() => IsDisposed = true;

    /// <summary>The log now, while calls may come in.</summary>
    public WatchedLine[] LogSoFar()
    {
        lock (_gate) return [.. Log!];
    }

    /// <summary>The medium's bytes now.</summary>
    public byte[] Content()
    {
        lock (_gate) return _bytes[..(int)_length];
    }

    private bool Zero(string operation, long offset, long length)
    {
        Note(WatchedEvent.Other, 0, offset, []);
        Before?.Invoke(operation);
        lock (_gate)
        {
            if (operation != "punch") Grow(offset + length);
            int end = (int)Math.Min(_length, offset + length);
            if (offset < end) _bytes.AsSpan((int)offset..end).Clear();
        }

        return true;
    }

    private void Grow(long end)
    {
        if (end > _bytes.Length) Array.Resize(ref _bytes, (int)Math.Max(end, _bytes.Length * 2L));
        if (end > _length) Volatile.Write(ref _length, end);
    }

    private int Note(WatchedEvent what, int call, long offset, byte[] bytes)
    {
        if (Log is null) return 0;
        lock (_gate)
        {
            if (call == 0) call = ++_calls;
            Log.Add(new WatchedLine(what, call, offset, bytes));
            return call;
        }
    }
}
