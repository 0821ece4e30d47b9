using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2;

/// <summary>What a qcow2 image offers its journal.</summary>
internal sealed class Qcow2JournalSite(Qcow2Header header, IOrderedMedium storage, bool readOnly) : IJournalSite
{
    public string ImageName => storage.Name;

    public Guid ImageId => Guid.Empty;

    public ulong Epoch => 0;

    public bool IsReadOnly => readOnly;

    public bool IsHome(long offset, long length) => offset >= 0 && length >= 0 && offset <= storage.Length + header.ClusterSize - length;

    public T? GetCapability<T>() where T : class => this as T;
}
