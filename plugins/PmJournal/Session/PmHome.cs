using System.Buffers;

namespace StoragePlugins.PmJournal.Session;

/// <summary>
/// The image as the format sees it. Everything is written home at once, unflushed; a short guest write is kept in memory as well, so that the next record can
/// carry it and no flush is needed for it.
/// </summary>
/// <remarks>Reads go straight home, since nothing is ever held back. Writes that overlap and are in flight at once reach the home medium and the record in the
/// same order: each holds the locks of its pages meanwhile.</remarks>
internal sealed class PmHome(IOrderedMedium home, int maxInline, Action<CommitGoal> commit)
    : IOrderedMedium, IDeallocatingMedium, IPreallocatingMedium
{
    /// <summary>What a guest is promised whole.</summary>
    private const int SectorBytes = 512;

    /// <summary>Unit of the locks; a guest's page.</summary>
    private const int PageShift = 12;

    /// <summary>Locks: enough that sixteen writers seldom meet.</summary>
    private const int Stripes = 128;

    private readonly Lock[] _stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new Lock())];
    private readonly Lock _kept = new();
    private readonly IDeallocatingMedium? _deallocating = home.GetCapability<IDeallocatingMedium>();
    private readonly IPreallocatingMedium? _preallocating = home.GetCapability<IPreallocatingMedium>();
    private RecordContent _filling = new();
    private long _maxKeptBytes;

    // What an earlier process wrote may still be unflushed: the first commit flushes.
    private bool _needsFlush = true;
    private volatile DurabilityLostException? _poison;

    public string Name => home.Name;

    public long Length => home.Length;

    public bool IsReadOnly => home.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => home.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        ThrowIfPoisoned();
        if (content != ContentClass.GuestData || data.Length > maxInline || data.IsEmpty)
        {
            home.Write(offset, data, content);
            RequireFlush();
            return;
        }

        int first = Stripe(offset), last = Stripe(offset + data.Length - 1);
        // Ascending, so that two writers never wait for each other. maxInline is far below the stripes' span: a write has a run of them, which may wrap.
        if (last < first) (first, last) = (0, Stripes - 1);
        for (int i = first; i <= last; i++) _stripes[i].Enter();
        try
        {
            home.Write(offset, data, content);
            if (((offset | (uint)data.Length) & (SectorBytes - 1)) == 0) Keep(offset, data);
            else KeepSectors(offset, data.Length);
        }
        finally
        {
            for (int i = last; i >= first; i--) _stripes[i].Exit();
        }
    }

    public void SetLength(long length)
    {
        ThrowIfPoisoned();
        home.SetLength(length);
        RequireFlush();
    }

    public bool TryPunchHole(long offset, long length)
    {
        ThrowIfPoisoned();
        bool done = _deallocating!.TryPunchHole(offset, length);
        if (done) RequireFlush();
        return done;
    }

    public bool TryZeroRange(long offset, long length)
    {
        ThrowIfPoisoned();
        bool done = _deallocating!.TryZeroRange(offset, length);
        if (done) RequireFlush();
        return done;
    }

    public long FreeBytes => _preallocating!.FreeBytes;

    public void Preallocate(long offset, long length)
    {
        ThrowIfPoisoned();
        _preallocating!.Preallocate(offset, length);
        RequireFlush();
    }

    public void Barrier() => commit(CommitGoal.Ordered);

    public void Flush() => commit(CommitGoal.Durable);

    // What changes the image must be seen here; the rest reads, and may go straight home. Mapped memory would be written behind this object's back.
    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IDeallocatingMedium) ? _deallocating is null ? null : this as T
        : typeof(T) == typeof(IPreallocatingMedium) ? _preallocating is null ? null : this as T
        : typeof(T) == typeof(IPersistentMemory) || typeof(T) == typeof(IMappableMedium) ? null
        : home.GetCapability<T>();

    public void Dispose()
    {
    }

    /// <summary>From now on short guest writes ride in records.</summary>
    /// <param name="maxKeptBytes">The most that may wait for the next one.</param>
    public void StartKeeping(long maxKeptBytes)
    {
        lock (_kept) _maxKeptBytes = maxKeptBytes;
    }

    /// <summary>Takes over what writes that returned have left to be made durable.</summary>
    /// <param name="emptied">Becomes the place for what comes next.</param>
    /// <param name="kept">Guest writes for the record; of no use when a flush is needed, which covers them.</param>
    /// <returns>Whether something was written that is not in <paramref name="kept"/>.</returns>
    public bool Take(RecordContent emptied, out RecordContent kept)
    {
        lock (_kept)
        {
            bool needsFlush = _needsFlush;
            kept = _filling;
            (_filling, _needsFlush) = (emptied, false);
            return needsFlush;
        }
    }

    /// <summary>Something is home and in no record: the next commit flushes.</summary>
    public void RequireFlush()
    {
        lock (_kept) _needsFlush = true;
    }

    /// <summary>Nothing can be made durable any more.</summary>
    public void Poison(DurabilityLostException failure) => _poison ??= failure;

    /// <exception cref="DurabilityLostException">Durability was lost before.</exception>
    public void ThrowIfPoisoned()
    {
        if (_poison is { } failure)
            throw new DurabilityLostException("journal", Name, $"an earlier commit failed ({failure.Message}); close the disk, check device and journal, and open it again", failure);
    }

    private static int Stripe(long offset) => (int)(offset >> PageShift) & (Stripes - 1);

    // A replay of less than a sector over a later, unflushed write would leave a mixture of both where the guest was promised old or new.
    private void KeepSectors(long offset, int length)
    {
        long start = offset & -SectorBytes, end = (offset + length + SectorBytes - 1) & -SectorBytes;
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)(end - start));
        try
        {
            int there = home.Read(start, buffer.AsSpan(0, (int)(end - start)));
            Keep(start, buffer.AsSpan(0, there));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Keep(long offset, ReadOnlySpan<byte> data)
    {
        lock (_kept)
        {
            // A write that is flushed anyway need not ride.
            if (_needsFlush) return;
            if (_filling.Bytes.Length + RecordContent.MostBytes(data.Length) > _maxKeptBytes) _needsFlush = true;
            else _filling.Add(offset, data);
        }
    }
}
