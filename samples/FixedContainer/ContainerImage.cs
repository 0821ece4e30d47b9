using StoragePlugins;

namespace Samples.FixedContainer;

/// <summary>An open container: one disk without a name.</summary>
internal sealed class ContainerImage(IOrderedMedium storage, ContainerHeader header, bool isReadOnly) : IDiskImage
{
    public ImageDescription Description => new(FixedContainer.Id, header.Size, [new("label", header.Label)]);

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => after is null && limit > 0 ? [new DiskEntry("", header.Size, isReadOnly, header.Label)] : [];

    public IVirtualDisk OpenDisk(string name) => name.Length == 0
        ? new ContainerDisk(storage, header.Size, isReadOnly)
        : throw new DiagnosticException("CONTAINER1006", $"the image has no disk '{name}'", storage.Name, fix: "a container has one disk, without a name");

    public void Close()
    {
        if (!isReadOnly) storage.Flush();
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => storage.Dispose();
}
