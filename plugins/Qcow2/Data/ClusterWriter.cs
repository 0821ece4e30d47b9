using System.Buffers;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Data;

/// <summary>
/// Writes guest bytes: in place where a cluster is allocated and unshared, otherwise into a reserved cluster whose mapping is recorded only
/// after all of its bytes were written, so that a commit never maps a cluster whose data is still in flight.
/// </summary>
/// <remarks>Thread-safe. The caller holds a request of <see cref="RequestEpochs"/>.</remarks>
internal sealed class ClusterWriter(
    Qcow2Header header, object metadataLock, IOrderedMedium storage, MapTables maps, MetadataMap metadata, ClusterAllocator allocator,
    ClusterReader reader, ClusterRemapper remapper, AllocationGate gate, Committer committer, AppendAhead? ahead)
{
    private const int SectorBytes = 512;

    private readonly int _clusterBits = header.ClusterBits;
    private readonly int _clusterSize = header.ClusterSize;

    /// <summary>Writes all of the data.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            int written = WriteInPlace(offset, data);
            if (written == 0)
            {
                committer.MakeRoom();
                written = WriteAllocating(offset, data);
                if (ahead is not null) TellAllocated(ahead, offset, written);
            }

            offset += written;
            data = data[written..];
        }
    }

    /// <summary>Writes when the whole range is in place and its map in memory; otherwise writes nothing.</summary>
    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        // It would have to wait for a barrier to be paid.
        if (committer.Order.IsOwed) return false;
        for (long done = 0; done < data.Length;)
        {
            if (!reader.TryDescribe(maps.L1, offset + done, data.Length - done, mayWait: false, out ClusterReader.Run run) || !IsInPlace(run)) return false;
            done += run.Length;
        }

        Write(offset, data);
        return true;
    }

    private void TellAllocated(AppendAhead ahead, long offset, int written)
    {
        long first = offset >> _clusterBits, end = EndOf(offset, written);
        ahead.Touched(first, end);
        if (written > 0) ahead.Allocated(first, end);
    }

    private long EndOf(long offset, long length) => (offset + length + _clusterSize - 1) >> _clusterBits;

    private static bool IsInPlace(in ClusterReader.Run run) => run.Kind == ClusterKind.Data && run.Copied;

    /// <summary>Writes the leading run that is allocated and unshared.</summary>
    /// <returns>Bytes written; 0 when the first cluster needs allocation.</returns>
    private int WriteInPlace(long offset, ReadOnlySpan<byte> data)
    {
        reader.TryDescribe(maps.L1, offset, data.Length, mayWait: true, out ClusterReader.Run run);
        if (!IsInPlace(run)) return 0;
        for (long c = run.HostOffset >> _clusterBits; c <= (run.HostOffset + run.Length - 1) >> _clusterBits; c++)
        {
            if (metadata.Contains(c))
                throw new StorageException(StorageError.Io, "write", storage.Name, offset, run.Length,
                    $"the image is corrupt: an L2 entry maps guest data to the metadata cluster at {c << _clusterBits}; run: sphost image check");
        }

        // Before the write: one that fails may have left a part, which the guest can read and a clean close must not take back.
        ahead?.Touched(offset >> _clusterBits, EndOf(offset, run.Length));
        committer.BeforeVisibleWrite();
        try
        {
            storage.Write(run.HostOffset, data[..(int)run.Length], ContentClass.GuestData);
        }
        finally
        {
            committer.Order.NoteVisible();
        }

        return (int)run.Length;
    }

    /// <summary>Gives the leading clusters that need it a host cluster of their own and writes them.</summary>
    /// <returns>Bytes written; 0 when somebody else has allocated the first cluster meanwhile.</returns>
    private int WriteAllocating(long offset, ReadOnlySpan<byte> data)
    {
        long first = offset >> _clusterBits;
        long sliceEnd = (first | (uint)(maps.Cache.EntriesPerSlice - 1)) + 1;
        long last = Math.Min((offset + data.Length - 1) >> _clusterBits, sliceEnd - 1);
        using AllocationGate.Pass pass = gate.Enter(first, last);
        L2Slice slice = remapper.PinWritable(first);
        try
        {
            int clusters = CountNeedingAllocation(slice, first, last, out long keptHost);
            if (clusters == 0) return 0;
            return keptHost != 0
                ? WriteInto(slice, offset, data, keptHost, 1, isFresh: false, isReserved: false)
                : WriteReserved(slice, offset, data, clusters);
        }
        finally
        {
            maps.Cache.Unpin(slice);
        }
    }

    private int WriteReserved(L2Slice slice, long offset, ReadOnlySpan<byte> data, int clusters)
    {
        long host;
        int count;
        bool isFresh;
        lock (metadataLock) host = allocator.Reserve(clusters, out count, out isFresh);
        return WriteInto(slice, offset, data, host << _clusterBits, count, isFresh, isReserved: true);
    }

    /// <summary>How many clusters from the first on need a new host cluster; a zero cluster that kept its own is dealt with alone.</summary>
    private int CountNeedingAllocation(L2Slice slice, long first, long last, out long keptHost)
    {
        keptHost = 0;
        int count = 0;
        for (long c = first; c <= last; c++, count++)
        {
            ClusterMapping mapping = reader.Decode(slice[(int)c & (slice.Count - 1)], c << _clusterBits);
            if (mapping.IsInPlace) break;
            if (mapping is not { Kind: ClusterKind.ZeroAllocated, Copied: true }) continue;
            if (count > 0) break;
            keptHost = mapping.HostOffset;
            return 1;
        }

        return count;
    }

    /// <summary>Writes data, with what surrounds it in its first and last cluster, into host clusters, then records their mapping.</summary>
    private int WriteInto(L2Slice slice, long offset, ReadOnlySpan<byte> data, long host, int count, bool isFresh, bool isReserved)
    {
        int inCluster = (int)(offset & (_clusterSize - 1));
        int length = (int)Math.Min(data.Length, ((long)count << _clusterBits) - inCluster);
        int used = (inCluster + length + _clusterSize - 1) >> _clusterBits;
        int recorded = 0;
        try
        {
            bool wasZero = ReadsAsZeros(slice, offset >> _clusterBits, used);
            WriteData(offset, data[..length], host + inCluster, isFresh);
            lock (metadataLock)
            {
                // Published first: should recording fail half-way, what was recorded is in the next commit.
                // Zeros at the end of the file are as good as what was there before only where that read as zeros too.
                committer.Publish(new PublishedExtent(host, (long)used << _clusterBits, isFresh && wasZero ? PriorContent.Zeros : PriorContent.Unknown));
                for (; recorded < used; recorded++)
                {
                    long target = host + ((long)recorded << _clusterBits);
                    long guest = (offset >> _clusterBits) + recorded;
                    if (isReserved) remapper.MapReserved(slice, guest, target >> _clusterBits);
                    else remapper.Replace(slice, guest, (ulong)target | Qcow2Layout.CopiedFlag, punch: false);
                }
            }
        }
        finally
        {
            if (isReserved && recorded < count)
            {
                lock (metadataLock) allocator.Cancel((host >> _clusterBits) + recorded, count - recorded);
            }
        }

        return length;
    }

    /// <summary>Whether the guest has seen all of these clusters as zeros so far.</summary>
    private bool ReadsAsZeros(L2Slice slice, long first, int count)
    {
        for (long c = first; c < first + count; c++)
        {
            long offset = c << _clusterBits;
            if (!reader.ReadsAsZeros(reader.Decode(slice[(int)c & (slice.Count - 1)], offset).Kind, offset)) return false;
        }

        return true;
    }

    private void WriteData(long offset, ReadOnlySpan<byte> data, long host, bool isFresh)
    {
        int head = (int)(offset & (_clusterSize - 1));
        int headPart = head == 0 && data.Length >= _clusterSize ? 0 : Math.Min(data.Length, _clusterSize - head);
        if (headPart > 0) WritePartial(offset, data[..headPart], host, isFresh);
        ReadOnlySpan<byte> rest = data[headPart..];
        int whole = rest.Length & -_clusterSize;
        if (whole > 0) storage.Write(host + headPart, rest[..whole], ContentClass.GuestData);
        if (whole < rest.Length) WritePartial(offset + headPart + whole, rest[whole..], host + headPart + whole, isFresh);
    }

    /// <summary>Writes a part of one new cluster together with what the guest had around it.</summary>
    private void WritePartial(long offset, ReadOnlySpan<byte> data, long host, bool isFresh)
    {
        int head = (int)(offset & (_clusterSize - 1));
        reader.TryDescribe(maps.L1, offset, 1, mayWait: true, out ClusterReader.Run old);
        bool surroundedByZeros = reader.ReadsAsZeros(old.Kind, offset - head);
        if (isFresh && surroundedByZeros)
        {
            EndFileWithCluster(host - head, head + data.Length);
            storage.Write(host, data, ContentClass.GuestData);
            return;
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(_clusterSize);
        try
        {
            Span<byte> cluster = buffer.AsSpan(0, _clusterSize);
            if (surroundedByZeros) cluster.Clear();
            else reader.Read(maps.L1, offset - head, cluster);
            data.CopyTo(cluster[head..]);
            storage.Write(host - head, cluster, ContentClass.GuestData);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>
    /// Makes the file reach to the end of a new cluster before a part of it is written. A file that ended inside a sector could lose its end in a power
    /// cut, and with it a part of a later write to that sector.
    /// </summary>
    private void EndFileWithCluster(long host, int written)
    {
        if (written >= _clusterSize || host + _clusterSize <= storage.Length) return;
        Span<byte> zeros = stackalloc byte[SectorBytes];
        zeros.Clear();
        storage.Write(host + _clusterSize - SectorBytes, zeros, ContentClass.GuestData);
    }
}
