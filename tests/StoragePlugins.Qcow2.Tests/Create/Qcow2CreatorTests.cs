using System.Text.Json;
using StoragePlugins.Qcow2.Create;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Create;

public sealed class Qcow2CreatorTests : ScratchFolder
{
    private const long Gibibyte = 1L << 30;

    public static TheoryData<int, int> ClusterSizesAndRefcountWidths()
    {
        var data = new TheoryData<int, int>();
        for (int size = 512; size <= 2 << 20; size *= 2)
        {
            for (int bits = 1; bits <= 64; bits *= 2) data.Add(size, bits);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(ClusterSizesAndRefcountWidths))]
    public void Qemu_finds_a_new_image_clean_and_as_asked_for(int clusterSize, int refcountBits)
    {
        string image = Create(3 * Gibibyte, new Qcow2CreateSettings { ClusterSize = clusterSize, RefcountBits = refcountBits });
        Qemu.Img("check", "-q", image);
        JsonElement info = Info(image);
        Assert.Equal(3 * Gibibyte, info.GetProperty("virtual-size").GetInt64());
        Assert.Equal(clusterSize, info.GetProperty("cluster-size").GetInt32());
        JsonElement specific = info.GetProperty("format-specific").GetProperty("data");
        Assert.Equal(refcountBits, specific.GetProperty("refcount-bits").GetInt32());
        Assert.Equal("1.1", specific.GetProperty("compat").GetString());
        Assert.Equal("zlib", specific.GetProperty("compression-type").GetString());
        Assert.False(specific.GetProperty("lazy-refcounts").GetBoolean());
    }

    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 64)]
    [InlineData(65536, 16)]
    [InlineData(2097152, 64)]
    public void Qemu_writes_into_a_new_image_and_it_stays_clean(int clusterSize, int refcountBits)
    {
        string image = Create(64 << 20, new Qcow2CreateSettings { ClusterSize = clusterSize, RefcountBits = refcountBits });
        Qemu.Io(image, "write -P 7 0 1M", "write -P 8 33M 3M", "discard 0 512k", "read -P 8 33M 3M", "read -P 7 512k 512k");
        Qemu.Img("check", "-q", image);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 512)]
    [InlineData(512, 512)]
    [InlineData(1000, 1024)]
    [InlineData((1L << 40) + 1, (1L << 40) + 512)]
    [InlineData(1L << 51, 1L << 51)]
    public void The_size_is_rounded_up_to_whole_sectors_as_qemu_img_does(long asked, long stored)
    {
        string image = Create(asked, new Qcow2CreateSettings());
        Assert.Equal(stored, Info(image).GetProperty("virtual-size").GetInt64());
        Qemu.Img("check", "-q", image);
    }

    [Fact]
    public void A_version_2_image_is_one_to_qemu()
    {
        string image = Create(Gibibyte, new Qcow2CreateSettings { Version = 2 });
        Qemu.Img("check", "-q", image);
        Assert.Equal("0.10", Info(image).GetProperty("format-specific").GetProperty("data").GetProperty("compat").GetString());
        Qemu.Io(image, "write -P 1 0 128k");
        Qemu.Img("check", "-q", image);
    }

    [Fact]
    public void Lazy_refcounts_and_zstd_are_seen_by_qemu_and_used()
    {
        string image = Create(Gibibyte, new Qcow2CreateSettings { LazyRefcounts = true, Compression = CompressionKind.Zstd });
        JsonElement specific = Info(image).GetProperty("format-specific").GetProperty("data");
        Assert.True(specific.GetProperty("lazy-refcounts").GetBoolean());
        Assert.Equal("zstd", specific.GetProperty("compression-type").GetString());
        Qemu.Io(image, "write -c -P 5 0 64k", "read -P 5 0 64k");
        Qemu.Img("check", "-q", image);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public void A_backing_file_is_found_by_qemu_through_the_stored_name(int clusterSize)
    {
        Qemu.Img("create", "-q", "-f", "qcow2", PathOf("base.qcow2"), "1M");
        Qemu.Io(PathOf("base.qcow2"), "write -P 9 0 1M");
        string image = Create(1 << 20, new Qcow2CreateSettings { ClusterSize = clusterSize, BackingFile = "base.qcow2", BackingFormat = "qcow2" });
        Qemu.Io(image, "read -P 9 0 1M", "write -P 3 4k 4k", "read -P 9 8k 4k");
        Qemu.Img("check", "-q", image);
        Assert.Equal("qcow2", Info(image).GetProperty("backing-filename-format").GetString());
    }

    [Fact]
    public void What_was_on_the_medium_before_is_gone()
    {
        string image = PathOf("image.qcow2");
        File.WriteAllBytes(image, Enumerable.Repeat((byte)0xff, 4 << 20).ToArray());
        using (var medium = new TestFileMedium(image)) Qcow2Creator.Create(medium, Gibibyte, new Qcow2CreateSettings());
        Qemu.Img("check", "-q", image);
        Assert.Equal(4 * 65536, new FileInfo(image).Length);
    }

    [Fact]
    public void The_header_reads_back_as_it_was_written()
    {
        string image = PathOf("image.qcow2");
        using var medium = new TestFileMedium(image, create: true);
        Qcow2Header written = Qcow2Creator.Create(medium, Gibibyte, new Qcow2CreateSettings { BackingFile = "b", BackingFormat = "raw", LazyRefcounts = true });
        Qcow2Header read = Qcow2Header.Read(medium);
        Assert.Equal(written.Serialize(), read.Serialize());
        Assert.Equal(("b", "raw", Gibibyte, true), (read.BackingFile, read.BackingFormat, read.Size, read.LazyRefcounts));
    }

    public static TheoryData<string, string, long, int, int, int, bool, bool, string?, string?> BadRequests() => new()
    {
        { "SP3010", "cluster size", 0, 511, 16, 3, false, false, null, null },
        { "SP3010", "cluster size", 0, 256, 16, 3, false, false, null, null },
        { "SP3010", "cluster size", 0, 4 << 20, 16, 3, false, false, null, null },
        { "SP3010", "cluster size", 0, -65536, 16, 3, false, false, null, null },
        { "SP3010", "cluster size", 0, int.MinValue, 16, 3, false, false, null, null },
        { "SP3010", "refcount width", 0, 65536, 0, 3, false, false, null, null },
        { "SP3010", "refcount width", 0, 65536, 3, 3, false, false, null, null },
        { "SP3010", "refcount width", 0, 65536, 128, 3, false, false, null, null },
        { "SP3010", "version", 0, 65536, 16, 4, false, false, null, null },
        { "SP3011", "refcount width", 0, 65536, 8, 2, false, false, null, null },
        { "SP3011", "lazy refcounts", 0, 65536, 16, 2, true, false, null, null },
        { "SP3011", "compression type", 0, 65536, 16, 2, false, true, null, null },
        { "SP3012", "negative", -1, 65536, 16, 3, false, false, null, null },
        { "SP3012", "larger clusters", (1L << 37) + 1, 512, 16, 3, false, false, null, null },
        { "SP3012", "a smaller size", long.MaxValue, 2 << 20, 16, 3, false, false, null, null },
        { "SP3013", "without its format", 0, 65536, 16, 3, false, false, "base", null },
        { "SP3013", "without a backing file", 0, 65536, 16, 3, false, false, null, "raw" },
        { "SP3013", "wrong length", 0, 65536, 16, 3, false, false, "", "raw" },
        { "SP3013", "wrong length", 0, 65536, 16, 3, false, false, new string('b', 1024), "raw" },
        { "SP3013", "larger clusters", 0, 512, 16, 3, false, false, new string('b', 400), "raw" },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public void A_request_that_cannot_be_met_is_refused_in_words_before_anything_is_written(
        string code, string words, long size, int clusterSize, int refcountBits, int version, bool lazy, bool zstd, string? backing, string? backingFormat)
    {
        string image = PathOf("image.qcow2");
        File.WriteAllText(image, "precious");
        using var medium = new TestFileMedium(image);
        var settings = new Qcow2CreateSettings
        {
            ClusterSize = clusterSize,
            RefcountBits = refcountBits,
            Version = version,
            LazyRefcounts = lazy,
            Compression = zstd ? CompressionKind.Zstd : CompressionKind.Deflate,
            BackingFile = backing,
            BackingFormat = backingFormat,
        };
        DiagnosticException refusal = Assert.Throws<DiagnosticException>(() => Qcow2Creator.Create(medium, size, settings));
        Assert.Equal(code, refusal.Code);
        Assert.Contains(words, refusal.Message, StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(image));
    }

    [Theory]
    [InlineData(512, 376)]
    [InlineData(4096, 1023)]
    public void The_longest_backing_name_that_is_accepted_fits(int clusterSize, int length)
    {
        string image = Create(0, new Qcow2CreateSettings { ClusterSize = clusterSize, BackingFile = new string('b', length), BackingFormat = "raw" });
        using var medium = new TestFileMedium(image, readOnly: true);
        Assert.Equal(length, Qcow2Header.Read(medium).BackingFile!.Length);
    }

    private string Create(long size, Qcow2CreateSettings settings)
    {
        string image = PathOf("image.qcow2");
        using var medium = new TestFileMedium(image, create: true);
        Qcow2Creator.Create(medium, size, settings);
        return image;
    }

    private static JsonElement Info(string image) => JsonDocument.Parse(Qemu.Img("info", "--output=json", image)).RootElement;
}
