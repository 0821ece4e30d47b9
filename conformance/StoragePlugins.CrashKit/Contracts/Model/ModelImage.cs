using System.Buffers.Binary;

namespace StoragePlugins.CrashKit.Contracts.Model;

/// <summary>An open image of the model format.</summary>
/// <remarks>Thread-safe by one lock around everything: it is there to be right, not fast.</remarks>
internal sealed class ModelImage : IDiskImage
{
    private readonly Lock _gate = new();
    private readonly ModelHeader _header;
    private readonly IOrderedMedium _storage;
    private readonly IOrderedMedium _home;
    private readonly IJournalSession _journal;
    private readonly ModelSite _site;
    private readonly MetadataTransaction _transaction = new();
    private readonly SortedSet<int> _changed = [];
    private readonly List<PublishedExtent> _published = [];
    private readonly HashSet<long> _used = [];
    private readonly List<long> _freed = [];
    private readonly long[] _map;
    private bool _isClosed;

    public ModelImage(OpenRequest request)
    {
        _storage = request.Storage;
        IsReadOnly = request.ReadOnly;
        _header = ModelHeader.Read(_storage);
        if (_header.IsMarked && _header.Journal != request.JournalId)
            throw new DiagnosticException("SP3031", "the image needs another journal", _storage.Name, _header.Journal, request.JournalId);
        _site = new ModelSite(_header, _storage, request.JournalId, request.ReadOnly);
        _journal = request.OpenJournal(_site, _storage);
        try
        {
            _journal.Recover();
            _home = _journal.Home;
            _map = new long[_header.MapBlocks * ModelFormat.BlockBytes / 8];
            byte[] bytes = new byte[_map.Length * 8];
            _home.Read(ModelFormat.BlockBytes, bytes);
            for (int i = 0; i < _map.Length; i++)
            {
                _map[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(i * 8));
                if (_map[i] == 0) continue;
                if (_map[i] <= _header.MapBlocks || _map[i] * ModelFormat.BlockBytes >= _home.Length || !_used.Add(_map[i]))
                    throw new DiagnosticException("SP3005", $"entry {i} of the map is {_map[i]}, which cannot be", _storage.Name);
            }

            if (!request.ReadOnly) _journal.Start();
        }
        catch
        {
            _journal.Dispose();
            throw;
        }
    }

    public bool IsReadOnly { get; }

    public long Length => _header.Size;

    public ImageDescription Description => new("model", _header.Size, []);

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => after is null && limit > 0 ? [new DiskEntry("", Length, IsReadOnly, "")] : [];

    public IVirtualDisk OpenDisk(string name) =>
        name.Length == 0 ? new ModelDisk(this) : throw new DiagnosticException("SP3024", $"there is no disk '{name}'", _storage.Name);

    public void Read(long offset, Span<byte> buffer)
    {
        ThrowIfOutside("read", offset, buffer.Length);
        lock (_gate)
        {
            foreach ((long block, int inBlock, int at, int length) in Parts(offset, buffer.Length))
            {
                Span<byte> part = buffer.Slice(at, length);
                int there = _map[block] == 0 ? 0 : _home.Read((_map[block] * ModelFormat.BlockBytes) + inBlock, part);
                part[there..].Clear();
            }
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        ThrowIfOutside("write", offset, data.Length);
        ThrowIfReadOnly(offset, data.Length);
        lock (_gate)
        {
            foreach ((long block, int inBlock, int at, int length) in Parts(offset, data.Length)) WriteBlock(block, inBlock, data.Slice(at, length));
            if ((flags & WriteFlags.ForceUnitAccess) != 0) Commit(CommitGoal.Durable);
        }
    }

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None)
    {
        ThrowIfOutside("discard", offset, length);
        ThrowIfReadOnly(offset, length);
        lock (_gate)
        {
            foreach ((long block, int inBlock, _, int part) in Parts(offset, length)) if (inBlock == 0 && part == ModelFormat.BlockBytes) Unmap(block);
            if ((flags & WriteFlags.ForceUnitAccess) != 0) Commit(CommitGoal.Durable);
        }
    }

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        ThrowIfOutside("zero", offset, length);
        ThrowIfReadOnly(offset, length);
        lock (_gate)
        {
            byte[] zeros = new byte[ModelFormat.BlockBytes];
            foreach ((long block, int inBlock, _, int part) in Parts(offset, length))
            {
                if (mayUnmap && part == ModelFormat.BlockBytes) Unmap(block);
                else WriteBlock(block, inBlock, zeros.AsSpan(0, part));
            }

            if ((flags & WriteFlags.ForceUnitAccess) != 0) Commit(CommitGoal.Durable);
        }
    }

    public void Flush()
    {
        lock (_gate) if (!IsReadOnly) Commit(CommitGoal.Durable);
    }

    public void Barrier()
    {
        lock (_gate) if (!IsReadOnly) Commit(CommitGoal.Ordered);
    }

    public void Close()
    {
        lock (_gate)
        {
            if (_isClosed || IsReadOnly) return;
            Commit(CommitGoal.Durable);
            _journal.Close();
            _isClosed = true;
        }
    }

    public T? GetCapability<T>() where T : class => this as T;

    /// <summary>Ends the session; without <see cref="Close"/> as a crash would.</summary>
    public void Dispose()
    {
        _journal.Dispose();
        _storage.Dispose();
    }

    private static IEnumerable<(long Block, int InBlock, int At, int Length)> Parts(long offset, long length)
    {
        for (long at = 0; at < length;)
        {
            int inBlock = (int)((offset + at) % ModelFormat.BlockBytes);
            int part = (int)Math.Min(length - at, ModelFormat.BlockBytes - inBlock);
            yield return ((offset + at) / ModelFormat.BlockBytes, inBlock, (int)at, part);
            at += part;
        }
    }

    private void WriteBlock(long block, int inBlock, ReadOnlySpan<byte> data)
    {
        if (_map[block] != 0)
        {
            _home.Write((_map[block] * ModelFormat.BlockBytes) + inBlock, data, ContentClass.GuestData);
            return;
        }

        // A block that may hold anything is written whole before it is named.
        byte[] whole = new byte[ModelFormat.BlockBytes];
        data.CopyTo(whole.AsSpan(inBlock));
        long host = Allocate();
        _home.Write(host * ModelFormat.BlockBytes, whole, ContentClass.GuestData);
        _published.Add(new PublishedExtent(host * ModelFormat.BlockBytes, ModelFormat.BlockBytes, PriorContent.Unknown));
        _map[block] = host;
        _changed.Add((int)block);
        CommitIfLarge();
    }

    private void Unmap(long block)
    {
        if (_map[block] == 0) return;
        _freed.Add(_map[block]);
        _map[block] = 0;
        _changed.Add((int)block);
        CommitIfLarge();
    }

    private long Allocate()
    {
        long block = 1 + _header.MapBlocks;
        while (_used.Contains(block) || _site.IsReserved(block)) block++;
        _used.Add(block);
        return block;
    }

    private void CommitIfLarge()
    {
        if ((_changed.Count + 1) * 8 > _journal.MaxTransactionBytes) Commit(CommitGoal.Ordered);
    }

    private void Commit(CommitGoal goal)
    {
        _transaction.Clear();
        Span<byte> entry = stackalloc byte[8];
        foreach (int index in _changed)
        {
            BinaryPrimitives.WriteInt64LittleEndian(entry, _map[index]);
            // Not in stage 0, which may persist before the data.
            _transaction.Add(1, ContentClass.Map, ModelFormat.BlockBytes + (index * 8L), entry);
        }

        foreach (PublishedExtent extent in _published) _transaction.Publish(extent);
        _journal.Commit(_transaction, goal);
        _changed.Clear();
        _published.Clear();
        // Used again only when nothing can bring back what named them.
        if (goal != CommitGoal.Durable) return;
        foreach (long block in _freed) _used.Remove(block);
        _freed.Clear();
    }

    private void ThrowIfOutside(string operation, long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new StorageException(StorageError.InvalidRange, operation, _storage.Name, offset, length, $"the disk has {Length} bytes");
    }

    private void ThrowIfReadOnly(long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "write", _storage.Name, offset, length, "it is open for reading only");
    }
}

/// <summary>The image's one disk.</summary>
internal sealed class ModelDisk(ModelImage image) : IVirtualDisk, IDiscardDisk, IZeroingDisk, IBarrierDisk
{
    public long Length => image.Length;

    public bool IsReadOnly => image.IsReadOnly;

    public int PreferredBlockSize => ModelFormat.BlockBytes;

    public void Read(long offset, Span<byte> buffer) => image.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) => image.Write(offset, data, flags);

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None) => image.Discard(offset, length, flags);

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None) => image.WriteZeroes(offset, length, mayUnmap, flags);

    public bool IsZeroingFast(long offset, long length) => offset % ModelFormat.BlockBytes == 0 && length % ModelFormat.BlockBytes == 0;

    public void Flush() => image.Flush();

    public void Barrier() => image.Barrier();

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }
}
