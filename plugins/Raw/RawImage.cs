namespace StoragePlugins.Raw;

/// <summary>A raw image: one disk, no metadata, nothing to recover.</summary>
internal sealed class RawImage(IOrderedMedium storage, bool readOnly) : IDiskImage
{
    public ImageDescription Description => new("raw", storage.Length, []);

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) =>
        after is null && limit > 0 ? [new DiskEntry("", storage.Length, readOnly, "")] : [];

    public IVirtualDisk OpenDisk(string name) => name.Length == 0
        ? new RawDisk(storage, readOnly)
        : throw new DiagnosticException("SP3021", $"the image has no disk '{name}'", storage.Name, fix: "a raw image has one disk, without a name");

    public void Close()
    {
        if (!readOnly) storage.Flush();
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => storage.Dispose();
}
