using System.Buffers.Binary;
using System.IO.Compression;
using StoragePlugins.Qcow2.Compression;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Compression;

public sealed class ClusterDecompressorTests : ScratchFolder
{
    private const int GuestBytes = 8 << 20;

    [Theory]
    [InlineData("zlib", 512)]
    [InlineData("zlib", 4096)]
    [InlineData("zlib", 65536)]
    [InlineData("zlib", 2097152)]
    [InlineData("zstd", 512)]
    [InlineData("zstd", 4096)]
    [InlineData("zstd", 65536)]
    [InlineData("zstd", 2097152)]
    public void Every_cluster_that_qemu_img_compressed_reads_back_as_the_source(string type, int clusterSize)
    {
        byte[] source = CompressibleBytes();
        string image = Compress(source, type, clusterSize);
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        byte[] cluster = new byte[clusterSize];
        int compressed = 0;
        foreach ((int guestCluster, ulong entry) in L2Entries(medium, header))
        {
            if ((entry & Qcow2Layout.CompressedFlag) != 0)
            {
                byte[] stream = ReadExtent(medium, CompressedExtent.Decode(entry, header.ClusterBits));
                ClusterDecompressor.Decompress(header.Compression, stream, cluster, image, 0);
                compressed++;
            }
            else
            {
                cluster.AsSpan().Clear();
                if ((entry & Qcow2Layout.OffsetMask) != 0) medium.Read((long)(entry & Qcow2Layout.OffsetMask), cluster);
            }

            Assert.True(source.AsSpan(guestCluster * clusterSize, clusterSize).SequenceEqual(cluster), $"guest cluster {guestCluster} differs");
        }

        Assert.True(compressed > GuestBytes / clusterSize / 4, $"only {compressed} compressed clusters: the test shows nothing");
    }

    [Theory]
    [InlineData("zlib")]
    [InlineData("zstd")]
    public void Corrupt_streams_are_io_errors_or_other_bytes_and_never_a_crash(string type)
    {
        const int clusterSize = 65536;
        string image = Compress(CompressibleBytes(), type, clusterSize);
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        ulong entry = L2Entries(medium, header).First(e => (e.Entry & Qcow2Layout.CompressedFlag) != 0).Entry;
        byte[] good = ReadExtent(medium, CompressedExtent.Decode(entry, header.ClusterBits));
        var random = new Random(20240607);
        byte[] cluster = new byte[clusterSize];
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] bad = (byte[])good.Clone();
            int flips = random.Next(1, 9);
            for (int f = 0; f < flips; f++) bad[random.Next(random.Next(2) == 0 ? 16 : bad.Length)] ^= (byte)(1 << random.Next(8));
            ReadOnlySpan<byte> stream = bad.AsSpan(0, random.Next(4) == 0 ? random.Next(bad.Length) : bad.Length);
            if (IsRefused(header.Compression, stream, cluster)) refused++;
        }

        Assert.True(refused > 300, $"only {refused} of 3000 corrupt streams were refused");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_stream_that_ends_early_or_is_empty_is_an_io_error(int kind)
    {
        byte[] cluster = new byte[4096];
        Assert.True(IsRefused((CompressionKind)kind, [], cluster));
        byte[] shortDeflate = Deflate(new byte[100]);
        Assert.True(IsRefused((CompressionKind)kind, shortDeflate, cluster));
    }

    [Fact]
    public void A_zstd_frame_with_more_or_less_than_a_cluster_is_an_io_error()
    {
        string image = Compress(CompressibleBytes(), "zstd", 65536);
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        ulong entry = L2Entries(medium, header).First(e => (e.Entry & Qcow2Layout.CompressedFlag) != 0).Entry;
        byte[] stream = ReadExtent(medium, CompressedExtent.Decode(entry, header.ClusterBits));
        Assert.True(IsRefused(CompressionKind.Zstd, stream, new byte[32768]));
        Assert.True(IsRefused(CompressionKind.Zstd, stream, new byte[131072]));
    }

    [Fact]
    public void Bytes_behind_a_deflate_stream_do_not_matter()
    {
        byte[] plain = CompressibleBytes().AsSpan(0, 4096).ToArray();
        byte[] stream = [.. Deflate(plain), .. Enumerable.Repeat((byte)0xa5, 511)];
        byte[] cluster = new byte[4096];
        ClusterDecompressor.Decompress(CompressionKind.Deflate, stream, cluster, "image", 0);
        Assert.Equal(plain, cluster);
    }

    [Theory]
    [InlineData(16, 0x4000_0000_0005_0000UL, 0x50000, 512)]
    [InlineData(16, 0x4040_0000_0005_0001UL, 0x50001, 1023)]
    [InlineData(16, 0x7fff_ffff_ffff_ffffUL, (1L << 54) - 1, (256 * 512) - 511)]
    [InlineData(9, 0x6000_0000_0000_0200UL, 0x200, 1024)]
    [InlineData(21, 0x7ffe_0000_0000_0000UL, 0, 8192 * 512)]
    public void An_extent_reaches_to_the_end_of_its_last_sector(int clusterBits, ulong entry, long offset, int length) =>
        Assert.Equal(new CompressedExtent(offset, length), CompressedExtent.Decode(entry, clusterBits));

    private static bool IsRefused(CompressionKind kind, ReadOnlySpan<byte> stream, Span<byte> cluster)
    {
        try
        {
            ClusterDecompressor.Decompress(kind, stream, cluster, "image", 4711);
            return false;
        }
        catch (StorageException refused)
        {
            Assert.Equal(StorageError.Io, refused.Error);
            Assert.Contains("4711", refused.Message, StringComparison.Ordinal);
            return true;
        }
    }

    private string Compress(byte[] source, string type, int clusterSize)
    {
        string raw = PathOf("source.raw"), image = PathOf("image.qcow2");
        File.WriteAllBytes(raw, source);
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"cluster_size={clusterSize},compression_type={type}", raw, image);
        return image;
    }

    /// <summary>Words of a small vocabulary, with runs of noise that do not compress and runs of zeros.</summary>
    private static byte[] CompressibleBytes()
    {
        var random = new Random(7);
        byte[] bytes = new byte[GuestBytes];
        for (int at = 0; at < bytes.Length; at += 4096)
        {
            Span<byte> page = bytes.AsSpan(at, 4096);
            int kind = random.Next(8);
            if (kind == 0) random.NextBytes(page);
            else if (kind > 1) for (int i = 0; i < page.Length; i++) page[i] = (byte)"the quick brown fox "[random.Next(20)];
        }

        return bytes;
    }

    private static byte[] Deflate(byte[] plain)
    {
        var target = new MemoryStream();
        using (var deflater = new DeflateStream(target, CompressionLevel.Optimal, leaveOpen: true)) deflater.Write(plain);
        return target.ToArray();
    }

    private static byte[] ReadExtent(TestFileMedium medium, CompressedExtent extent)
    {
        byte[] stream = new byte[extent.Length];
        return stream.AsSpan(0, medium.Read(extent.Offset, stream)).ToArray();
    }

    private static IEnumerable<(int GuestCluster, ulong Entry)> L2Entries(TestFileMedium medium, Qcow2Header header)
    {
        byte[] l1 = new byte[header.L1Size * 8], l2 = new byte[header.ClusterSize];
        medium.Read(header.L1TableOffset, l1);
        for (int i = 0; i < header.L1Size; i++)
        {
            ulong l2Offset = BinaryPrimitives.ReadUInt64BigEndian(l1.AsSpan(i * 8)) & Qcow2Layout.OffsetMask;
            if (l2Offset == 0) continue;
            medium.Read((long)l2Offset, l2);
            for (int j = 0; j < header.L2Entries && (i * header.L2Entries) + j < header.GuestClusters; j++)
                yield return ((i * header.L2Entries) + j, BinaryPrimitives.ReadUInt64BigEndian(l2.AsSpan(j * 8)));
        }
    }
}
