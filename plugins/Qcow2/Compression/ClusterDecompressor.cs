using System.IO.Compression;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Compression;

/// <summary>Decompresses single clusters. Thread-safe; memory is bounded whatever the input says.</summary>
internal static class ClusterDecompressor
{
    /// <summary>Fills <paramref name="cluster"/> from a compressed stream.</summary>
    /// <param name="kind">The image's compression type.</param>
    /// <param name="compressed">The stream, followed by anything.</param>
    /// <param name="cluster">Exactly one cluster.</param>
    /// <param name="image">The image's name, for messages.</param>
    /// <param name="hostOffset">Where the stream lies in the image, for messages.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Io"/>: the stream is corrupt, ends early, or (zstd) is longer than a cluster.</exception>
    /// <exception cref="DiagnosticException">SP3014: libzstd is not installed.</exception>
    public static void Decompress(CompressionKind kind, ReadOnlySpan<byte> compressed, Span<byte> cluster, string image, long hostOffset)
    {
        string? fault = kind == CompressionKind.Zstd ? Zstd.TryDecompress(compressed, cluster, image) : TryInflate(compressed, cluster);
        if (fault is not null)
            throw new StorageException(StorageError.Io, $"decompression ({(kind == CompressionKind.Zstd ? "zstd" : "deflate")})", image, hostOffset, compressed.Length, fault);
    }

    private static unsafe string? TryInflate(ReadOnlySpan<byte> compressed, Span<byte> cluster)
    {
        if (compressed.IsEmpty) return "the stream is empty: it lies beyond the end of the file";
        fixed (byte* start = compressed)
        {
            using var source = new UnmanagedMemoryStream(start, compressed.Length);
            using var inflater = new DeflateStream(source, CompressionMode.Decompress);
            try
            {
                int got = inflater.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false);
                return got == cluster.Length ? null : $"the stream ends after {got} of {cluster.Length} bytes";
            }
            catch (InvalidDataException corrupt)
            {
                return corrupt.Message;
            }
        }
    }
}
