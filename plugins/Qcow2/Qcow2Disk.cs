using StoragePlugins.Qcow2.Data;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2;

/// <summary>The live disk of an image.</summary>
internal sealed class Qcow2Disk(Qcow2Image image) : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk, IResizableDisk
{
    /// <summary>Clusters that one discard or zeroing may free while it keeps them from being reused.</summary>
    private const int ClustersAtOnce = 1 << 16;

    public long Length => image.Header.Size;

    public bool IsReadOnly => image.IsReadOnly;

    public int PreferredBlockSize => image.Header.ClusterSize;

    public void Read(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        using RequestEpochs.Request request = image.Epochs.Enter();
        image.Reader.Read(image.Maps.L1, offset, buffer);
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        Check("read", offset, buffer.Length);
        using RequestEpochs.Request request = image.Epochs.Enter();
        return image.Reader.TryRead(image.Maps.L1, offset, buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("write", offset, data.Length);
        using (image.EnterToChange()) image.Writer.Write(offset, data);
        Finish(flags);
    }

    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        CheckWritable("write", offset, data.Length);
        using RequestEpochs.Request request = image.EnterToChange();
        return image.Writer.TryWrite(offset, data);
    }

    public void Flush()
    {
        if (!IsReadOnly) image.Committer.Flush();
    }

    public void Barrier()
    {
        if (!IsReadOnly) image.Committer.Barrier();
    }

    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("discard", offset, length);
        InPieces(offset, length, (at, count) => image.Zeroer.Discard(at, count, Length));
        Finish(flags);
    }

    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        CheckWritable("zero", offset, length);
        InPieces(offset, length, (at, count) => image.Zeroer.Zero(at, count, mayUnmap, Length));
        Finish(flags);
    }

    public bool IsZeroingFast(long offset, long length) => image.Header.Version >= 3;

    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Check("describe", offset, length);
        using RequestEpochs.Request request = image.Epochs.Enter();
        return image.Extents.Describe(image.Maps.L1, offset, length, extents);
    }

    public void Resize(long length) => image.Resize(length);

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }

    /// <summary>Carries a range out as several requests, so that what it frees can be reused before a range of terabytes is done.</summary>
    private void InPieces(long offset, long length, Action<long, long> request)
    {
        long end = offset + length;
        long pieceBytes = (long)image.Header.ClusterSize * ClustersAtOnce;
        while (offset < end)
        {
            // Pieces end at cluster boundaries: a cluster cut in two would be zeroed by writing, or not discarded at all.
            long pieceEnd = Math.Min(end, (offset / pieceBytes * pieceBytes) + pieceBytes);
            using (image.EnterToChange()) request(offset, pieceEnd - offset);
            offset = pieceEnd;
        }
    }

    private void Finish(WriteFlags flags)
    {
        if ((flags & WriteFlags.ForceUnitAccess) != 0) Flush();
    }

    private void CheckWritable(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, image.Name, offset, length, "it was opened read-only");
        Check(operation, offset, length);
    }

    private void Check(string operation, long offset, long length)
    {
        long size = Length;
        if ((ulong)offset > (ulong)size || (ulong)length > (ulong)(size - offset))
            throw new StorageException(StorageError.InvalidRange, operation, image.Name, offset, length, $"the disk has {size} bytes");
    }
}
