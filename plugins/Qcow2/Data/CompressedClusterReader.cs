using System.Buffers;
using StoragePlugins.Qcow2.Compression;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Data;

/// <summary>Reads compressed clusters and keeps the last few decompressed, since a client reads a cluster in many small requests.</summary>
/// <remarks>Thread-safe. Keyed by the L2 entry; an entry's bytes on the medium never change while anything refers to it, and
/// <see cref="Forget"/> drops it before its space can be reused.</remarks>
internal sealed class CompressedClusterReader(Qcow2Header header, IOrderedMedium storage)
{
    /// <summary>As many clusters as a client typically reads ahead in parallel.</summary>
    private const int Kept = 8;

    private readonly (ulong Entry, byte[]? Cluster)[] _kept = new (ulong, byte[]?)[Kept];
    private int _next;

    /// <summary>Reads a part of a compressed cluster.</summary>
    public void Read(ulong entry, int offsetInCluster, Span<byte> buffer)
    {
        lock (_kept)
        {
            foreach ((ulong key, byte[]? cluster) in _kept)
            {
                if (key != entry || cluster is null) continue;
                cluster.AsSpan(offsetInCluster, buffer.Length).CopyTo(buffer);
                return;
            }
        }

        byte[] fresh = new byte[header.ClusterSize];
        Decompress(entry, fresh);
        fresh.AsSpan(offsetInCluster, buffer.Length).CopyTo(buffer);
        lock (_kept)
        {
            _kept[_next] = (entry, fresh);
            _next = (_next + 1) % Kept;
        }
    }

    /// <summary>The cluster that an entry describes is gone.</summary>
    public void Forget(ulong entry)
    {
        lock (_kept)
        {
            for (int i = 0; i < Kept; i++)
            {
                if (_kept[i].Entry == entry) _kept[i] = default;
            }
        }
    }

    /// <summary>The host clusters that a compressed cluster touches.</summary>
    public (long First, long Last) HostClustersOf(ulong entry)
    {
        CompressedExtent extent = CompressedExtent.Decode(entry, header.ClusterBits);
        return (extent.Offset >> header.ClusterBits, (extent.Offset + extent.Length - 1) >> header.ClusterBits);
    }

    private void Decompress(ulong entry, Span<byte> cluster)
    {
        CompressedExtent extent = CompressedExtent.Decode(entry, header.ClusterBits);
        byte[] source = ArrayPool<byte>.Shared.Rent(extent.Length);
        try
        {
            // The last sector may reach beyond the end of the file.
            int got = storage.Read(extent.Offset, source.AsSpan(0, extent.Length));
            ClusterDecompressor.Decompress(header.Compression, source.AsSpan(0, got), cluster, storage.Name, extent.Offset);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(source);
        }
    }
}
