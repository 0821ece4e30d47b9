using System.Buffers;
using System.Collections.Concurrent;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// The bounded cache of L2 tables, in slices, keyed by where a slice lives on the medium, so that the live disk and its snapshots share it.
/// </summary>
/// <remarks>
/// <para>Look-ups take no lock. A slice is loaded under the lock of its stripe, so that nobody can load, change, commit and evict it between
/// another's read of the medium and insertion. Insertion and eviction happen under the metadata lock, where dirty and pin states are stable.</para>
/// <para>Eviction is the clock algorithm over clean, unpinned slices. When all are dirty the writer commits (<see cref="WantsCommit"/>).</para>
/// </remarks>
internal sealed class L2Cache
{
    /// <summary>4 KiB: one page, 512 entries, 32 MiB of guest with 64 KiB clusters. Larger clusters do not make misses dearer.</summary>
    public const int SliceBytes = 4096;

    /// <summary>Loads of different slices rarely wait for each other with more stripes than worker threads.</summary>
    private const int Stripes = 64;

    private readonly IStorageMedium _storage;
    private readonly object _metadataLock;
    private readonly Lock[] _stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new Lock())];
    private readonly ConcurrentDictionary<long, L2Slice> _slices = new();
    private readonly List<L2Slice> _clock = [];
    private readonly int _capacity;
    private readonly int _sliceBytes;
    private readonly int _clusterSize;
    private readonly List<L2Slice> _dirty = [];
    private int _hand;
    private long _changes;

    public L2Cache(IStorageMedium storage, Qcow2Header header, long capacityBytes, object metadataLock)
    {
        _storage = storage;
        _metadataLock = metadataLock;
        _clusterSize = header.ClusterSize;
        _sliceBytes = Math.Min(header.ClusterSize, SliceBytes);
        _capacity = (int)Math.Clamp(capacityBytes / _sliceBytes, 4, 1 << 22);
        EntriesPerSlice = _sliceBytes / 8;
    }

    /// <summary>Entries in a slice, a power of two.</summary>
    public int EntriesPerSlice { get; }

    /// <summary>Slices that may wait for a commit: half the cache, so that loads always find something to evict.</summary>
    public bool WantsCommit => _dirty.Count > _capacity / 2;

    /// <summary>Bytes of after-images that the next commit may need for entries; an upper bound.</summary>
    public long PendingBytes => Volatile.Read(ref _changes) * 8;

    public bool TryGet(long tableOffset, int entryIndex, out L2Slice slice)
    {
        if (!_slices.TryGetValue(KeyOf(tableOffset, entryIndex), out slice!)) return false;
        slice.Touch();
        return true;
    }

    public L2Slice Get(long tableOffset, int entryIndex)
    {
        if (TryGet(tableOffset, entryIndex, out L2Slice slice)) return slice;
        long key = KeyOf(tableOffset, entryIndex);
        lock (_stripes[(int)((ulong)(key / _sliceBytes) % Stripes)])
        {
            if (_slices.TryGetValue(key, out slice!)) return slice;
            slice = Load(key);
            lock (_metadataLock) Insert(slice);
            return slice;
        }
    }

    /// <summary>Loads the slice and keeps it in the cache until <see cref="Unpin"/>.</summary>
    public L2Slice GetPinned(long tableOffset, int entryIndex)
    {
        while (true)
        {
            L2Slice slice = Get(tableOffset, entryIndex);
            lock (_metadataLock)
            {
                // It may have been evicted since.
                if (!_slices.TryGetValue(slice.HostOffset, out L2Slice? present) || present != slice) continue;
                slice.Pins++;
                return slice;
            }
        }
    }

    public void Unpin(L2Slice slice)
    {
        lock (_metadataLock) slice.Pins--;
    }

    /// <summary>Under the metadata lock: a new table begins here. What the cache still holds of one that was freed is dropped; nobody uses it any more.</summary>
    public void Forget(long tableOffset)
    {
        for (long key = tableOffset; key < tableOffset + _clusterSize; key += _sliceBytes)
        {
            if (_slices.TryRemove(key, out L2Slice? slice)) _clock.Remove(slice);
        }
    }

    /// <summary>Under the metadata lock: changes an entry of a pinned slice.</summary>
    public void Set(L2Slice slice, int entryIndex, ulong entry)
    {
        if (!slice.IsDirty) _dirty.Add(slice);
        slice.Set(entryIndex & (EntriesPerSlice - 1), entry);
        Interlocked.Increment(ref _changes);
    }

    /// <summary>Under the metadata lock: moves all changes into a transaction and pins their slices until the commit ends.</summary>
    /// <param name="transaction">Receives the after-images.</param>
    /// <param name="stageOf">The stage for a slice at this host offset.</param>
    public List<(L2Slice Slice, ulong[] Taken)> TakeDirty(MetadataTransaction transaction, Func<long, int> stageOf)
    {
        var taken = new List<(L2Slice, ulong[])>(_dirty.Count);
        foreach (L2Slice slice in _dirty)
        {
            slice.TakeDirty(transaction, stageOf(slice.HostOffset), out ulong[] bits);
            slice.Pins++;
            taken.Add((slice, bits));
        }

        _dirty.Clear();
        Volatile.Write(ref _changes, 0);
        return taken;
    }

    /// <summary>Under the metadata lock: the commit ended.</summary>
    public void EndCommit(List<(L2Slice Slice, ulong[] Taken)> taken, bool failed)
    {
        foreach ((L2Slice slice, ulong[] bits) in taken)
        {
            slice.Pins--;
            if (!failed) continue;
            if (!slice.IsDirty) _dirty.Add(slice);
            slice.PutBackDirty(bits);
            _changes += slice.Count;
        }
    }

    private long KeyOf(long tableOffset, int entryIndex) => tableOffset + ((long)(entryIndex / EntriesPerSlice) * _sliceBytes);

    private L2Slice Load(long offset)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(_sliceBytes);
        try
        {
            Span<byte> bytes = buffer.AsSpan(0, _sliceBytes);
            int got = _storage.Read(offset, bytes);
            bytes[got..].Clear();
            var slice = new L2Slice(offset, EntriesPerSlice);
            slice.Load(bytes);
            slice.Touch();
            return slice;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Insert(L2Slice slice)
    {
        if (_clock.Count >= _capacity) EvictOne();
        _clock.Add(slice);
        _slices[slice.HostOffset] = slice;
    }

    private void EvictOne()
    {
        // Two rounds: the first may only clear second-chance bits.
        for (int step = 0; step < 2 * _clock.Count; step++)
        {
            _hand = _hand + 1 >= _clock.Count ? 0 : _hand + 1;
            L2Slice candidate = _clock[_hand];
            if (candidate.IsDirty || candidate.Pins > 0 || candidate.TakeReferenced()) continue;
            _slices.TryRemove(candidate.HostOffset, out _);
            _clock[_hand] = _clock[^1];
            _clock.RemoveAt(_clock.Count - 1);
            return;
        }
    }
}
