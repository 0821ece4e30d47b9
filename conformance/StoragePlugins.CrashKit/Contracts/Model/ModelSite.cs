namespace StoragePlugins.CrashKit.Contracts.Model;

/// <summary>What the model format offers a journal: a mark, and a region behind everything else.</summary>
internal sealed class ModelSite(ModelHeader header, IOrderedMedium storage, string journal, bool isReadOnly) : IJournalSite, IJournalRegionSite, IInUseMark
{
    private JournalRegion? _reserved = header is { IsMarked: true, Region.Length: > 0 } ? header.Region : null;

    public string ImageName => storage.Name;

    public Guid ImageId => header.ImageId;

    public ulong Epoch => header.Epoch;

    public bool IsReadOnly => isReadOnly;

    public JournalRegion? Region => header is { IsMarked: true, Region.Length: > 0 } ? header.Region : null;

    public ReadOnlyMemory<byte>? Payload => header.IsMarked ? (ReadOnlyMemory<byte>?)header.Payload : null;

    /// <summary>Blocks that are the journal's for now.</summary>
    public bool IsReserved(long block) =>
        _reserved is { } region && block * ModelFormat.BlockBytes < region.Offset + region.Length && (block + 1) * ModelFormat.BlockBytes > region.Offset;

    public bool IsHome(long offset, long length) =>
        offset >= ModelFormat.BlockBytes && length >= 0 && (_reserved is not { } region || offset + length <= region.Offset || offset >= region.Offset + region.Length);

    public JournalRegion Reserve(long length)
    {
        if (_reserved is { } present && present.Length >= length) return present;
        long start = (storage.Length + ModelFormat.BlockBytes - 1) / ModelFormat.BlockBytes * ModelFormat.BlockBytes;
        long bytes = (length + ModelFormat.BlockBytes - 1) / ModelFormat.BlockBytes * ModelFormat.BlockBytes;
        storage.SetLength(start + bytes);
        _reserved = new JournalRegion(start, bytes);
        return _reserved.Value;
    }

    public void Set(ReadOnlySpan<byte> payload)
    {
        if (header.ImageId == Guid.Empty) header.ImageId = Guid.NewGuid();
        header.Epoch++;
        (header.IsMarked, header.Journal, header.Payload, header.Region) = (true, journal, payload.ToArray(), _reserved ?? default);
        header.Write(storage);
        storage.Flush();
    }

    public void Clear()
    {
        header.Clear();
        header.Write(storage);
        storage.Flush();
        _reserved = null;
    }

    public T? GetCapability<T>() where T : class => this as T;
}
