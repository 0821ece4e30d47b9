using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;
using StoragePlugins.Qcow2.Snapshots;

namespace StoragePlugins.Qcow2;

/// <summary>A snapshot's disk: read through the snapshot's own L1 table, never written.</summary>
internal sealed class SnapshotDisk : IVirtualDisk, IExtentDisk
{
    private readonly Qcow2Image _image;
    private readonly string _name;
    private readonly ulong[] _l1;
    private readonly SnapshotFate _fate;

    public SnapshotDisk(Qcow2Image image, IStorageMedium storage, Snapshot snapshot, string name)
    {
        if (snapshot.DescribeFault(image.Header, storage.Length) is { } fault)
            throw new DiagnosticException("SP3022", $"the snapshot '{name}' cannot be read: {fault}", image.Name, fix: "run: sphost image check");
        _image = image;
        _fate = snapshot.Fate;
        _name = $"{image.Name}@{name}";
        Length = snapshot.DiskBytes ?? image.Header.Size;
        byte[] bytes = new byte[snapshot.L1Size * 8L];
        storage.Read(snapshot.L1TableOffset, bytes);
        _l1 = new ulong[snapshot.L1Size];
        for (int i = 0; i < _l1.Length; i++) _l1[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
    }

    public long Length { get; }

    public bool IsReadOnly => true;

    public int PreferredBlockSize => _image.Header.ClusterSize;

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        using RequestEpochs.Request request = Enter("read", offset, buffer.Length);
        _image.Reader.Read(_l1, offset, buffer);
    }

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Check("describe", offset, length);
        using RequestEpochs.Request request = Enter("describe", offset, length);
        return _image.SnapshotExtents.Describe(_l1, offset, length, extents);
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) =>
        throw new StorageException(StorageError.ReadOnly, "write", _name, offset, data.Length, "a snapshot cannot be written");

    public void Flush()
    {
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }

    /// <summary>Begins a request. Its tables stay what they are until it ends: a deletion waits for it.</summary>
    private RequestEpochs.Request Enter(string operation, long offset, long length)
    {
        RequestEpochs.Request request = _image.Epochs.Enter();
        if (!_fate.IsDeleted) return request;
        request.Dispose();
        throw new StorageException(StorageError.ShuttingDown, operation, _name, offset, length, "the snapshot has been deleted");
    }

    private void Check(string operation, long offset, long length)
    {
        if ((ulong)offset > (ulong)Length || (ulong)length > (ulong)(Length - offset))
            throw new StorageException(StorageError.InvalidRange, operation, _name, offset, length, $"the snapshot has {Length} bytes");
    }
}
