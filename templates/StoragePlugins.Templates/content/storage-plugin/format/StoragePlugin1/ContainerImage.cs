using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>An open image: one disk without a name.</summary>
internal sealed class ContainerImage(IOrderedMedium storage, ContainerHeader header, bool isReadOnly) : IDiskImage
{
    public ImageDescription Description => new(ContainerFormat.Id, header.Size, [new("dataOffset", header.DataOffset)]);

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => after is null && limit > 0 ? [new DiskEntry("", header.Size, isReadOnly, "")] : [];

    public IVirtualDisk OpenDisk(string name) => name.Length == 0
        ? new ContainerDisk(storage, header, isReadOnly)
        : throw new DiagnosticException("PLUGIN2006", $"the image has no disk '{name}'", storage.Name, fix: "it has one disk, without a name");

    public void Close()
    {
        if (!isReadOnly) storage.Flush();
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => storage.Dispose();
}
