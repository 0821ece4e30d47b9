using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2;

/// <summary>What a qcow2 image offers its journal: homes, and, from version 3 on, a mark in the header and room for a region.</summary>
/// <remarks>
/// The region's clusters keep refcount 0: the mark, which nobody may ignore, is what reserves them. So neither opening nor closing an image changes a
/// refcount, and a crash in between leaks nothing.
/// </remarks>
internal sealed class Qcow2JournalSite : IJournalSite, IJournalRegionSite, IInUseMark
{
    private readonly IOrderedMedium _storage;
    private readonly string _journalId;
    private Qcow2Header _header;
    private JournalMarkStore _store;
    private ClusterAllocator? _allocator;
    private JournalRegion? _region;

    public Qcow2JournalSite(Qcow2Header header, IOrderedMedium storage, string journalId, bool readOnly)
    {
        (_header, _storage, _journalId, IsReadOnly) = (header, storage, journalId, readOnly);
        _store = new JournalMarkStore(header, storage, storage.Flush);
        RefuseForeign();
        _region = _store.Current?.Region;
    }

    public string ImageName => _storage.Name;

    public Guid ImageId => _store.Current?.ImageId ?? Guid.Empty;

    public ulong Epoch => _store.Current?.Epoch ?? 0;

    public bool IsReadOnly { get; }

    public JournalRegion? Region => _region;

    public ReadOnlyMemory<byte>? Payload => _store.Current?.Payload;

    /// <summary>Whether an open image is marked.</summary>
    public bool IsMarked => _store.IsSet;

    /// <summary>A recovery may have changed the header.</summary>
    public void HeaderChanged(Qcow2Header header)
    {
        _header = header;
        _store = new JournalMarkStore(header, _storage, _storage.Flush);
    }

    /// <summary>From here on <see cref="Reserve"/> can be called.</summary>
    public void Attach(ClusterAllocator allocator)
    {
        _allocator = allocator;
        if (_region is { } region) allocator.SetAside(region.Offset >> _header.ClusterBits, ClustersOf(region));
    }

    public bool IsHome(long offset, long length)
    {
        if (offset < 0 || length <= 0 || offset > Qcow2Layout.MaxHostOffset - length) return false;
        // Of the header's cluster only what a transaction changes: size, tables and snapshots. The mark is not replayed over.
        if (offset < _header.ClusterSize) return offset >= Qcow2Layout.SizeFieldOffset && offset + length <= Qcow2Layout.IncompatibleFeaturesOffset;
        return _region is not { } region || offset + length <= region.Offset || offset >= region.Offset + region.Length;
    }

    public JournalRegion Reserve(long length)
    {
        if (_region is { } present && present.Length >= length) return present;
        ClusterAllocator allocator = _allocator ?? throw new InvalidOperationException("The image's tables have not been read yet.");
        long clusters = (length + _header.ClusterSize - 1) >> _header.ClusterBits;
        long first = allocator.ReserveRegion(clusters);
        // One that was too small is free as soon as the mark names the new one; until the image is closed nobody needs its space.
        _region = new JournalRegion(first << _header.ClusterBits, clusters << _header.ClusterBits);
        return _region.Value;
    }

    public void Set(ReadOnlySpan<byte> payload)
    {
        if (payload.Length > IInUseMark.MaxPayloadBytes)
            throw new ArgumentOutOfRangeException(nameof(payload), payload.Length, $"A mark carries at most {IInUseMark.MaxPayloadBytes} bytes.");
        // A mark never names a region beyond the end of the file, which nobody would believe.
        if (_region is { } region && _storage.Length < region.Offset + region.Length) _storage.SetLength(region.Offset + region.Length);
        Guid id = ImageId == Guid.Empty ? Guid.NewGuid() : ImageId;
        _store.Set(new JournalMark(_journalId, id, Epoch + 1, _region, payload.ToArray()));
    }

    public void Clear()
    {
        _store.Clear();
        if (_region is { } region) _allocator?.GiveBack(region.Offset >> _header.ClusterBits, ClustersOf(region));
        _region = null;
    }

    public T? GetCapability<T>() where T : class => _store.WhyNot is null || (typeof(T) != typeof(IInUseMark) && typeof(T) != typeof(IJournalRegionSite)) ? this as T : null;

    private long ClustersOf(JournalRegion region) => region.Length >> _header.ClusterBits;

    private bool IsPossible(JournalRegion region)
    {
        long mask = _header.ClusterSize - 1;
        return region.Offset >= _header.ClusterSize && ((region.Offset | region.Length) & mask) == 0
            && region.Length <= ((_storage.Length + mask) & ~mask) - region.Offset;
    }

    private void RefuseForeign()
    {
        if (!_store.IsSet) return;
        if (!_store.IsTrustworthy || _store.Current is not { } mark)
            throw new DiagnosticException("SP3031", "another program has written to the image while its journal was in use; the journal cannot be trusted", ImageName,
                expected: "a journal mark with its autoclear bit", found: _store.Current is null ? "a mark that cannot be read" : "the bit cleared",
                fix: "copy the image, then run: sphost image recover --discard-journal");
        if (mark.Region is { } region && !IsPossible(region))
            throw new DiagnosticException("SP3031", "the journal's mark names a region that cannot be one; the journal cannot be trusted", ImageName,
                expected: $"whole clusters behind the first one, within the file's {_storage.Length} bytes", found: $"{region.Length} bytes at {region.Offset}",
                fix: "copy the image, then run: sphost image recover --discard-journal");
        if (mark.Journal != _journalId)
            throw new DiagnosticException("SP3030", "the image was not closed cleanly, and its journal must be replayed first", ImageName,
                expected: $"journal '{mark.Journal}'", found: $"a pipeline with journal '{_journalId}'", fix: "run: sphost image recover");
    }
}
