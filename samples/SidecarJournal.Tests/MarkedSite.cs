using StoragePlugins;

namespace Samples.SidecarJournal.Tests;

/// <summary>A site whose mark is a field: what a format would keep in its header. It survives the "crash" of a session, and can itself fail to be set.</summary>
internal sealed class MarkedSite(string imageName) : IJournalSite, IInUseMark
{
    public string ImageName => imageName;

    public Guid ImageId { get; private set; }

    public ulong Epoch { get; private set; }

    public bool IsReadOnly { get; init; }

    public byte[]? Mark { get; set; }

    /// <summary>The power fails before the mark is set.</summary>
    public bool CutsBeforeSet { get; set; }

    public ReadOnlyMemory<byte>? Payload => Mark is null ? null : (ReadOnlyMemory<byte>?)Mark;

    public bool IsHome(long offset, long length) => true;

    public void Set(ReadOnlySpan<byte> payload)
    {
        if (CutsBeforeSet) throw new StorageException(StorageError.Io, "write", imageName, 0, 512, "the power failed");
        (Mark, Epoch, ImageId) = (payload.ToArray(), Epoch + 1, ImageId == Guid.Empty ? Guid.NewGuid() : ImageId);
    }

    public void Clear() => Mark = null;

    public T? GetCapability<T>() where T : class => this as T;
}
