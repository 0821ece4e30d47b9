using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins.Qcow2.Create;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2;

/// <summary>The options of the format <c>qcow2</c>. Those under "create" matter only when an image is made.</summary>
public sealed class Qcow2Options
{
    /// <summary>Bytes for L2 tables.</summary>
    [Description("memory for L2 tables; 16M map 128 GiB of guest with 64K clusters")]
    [Range(64L << 10, 4L << 30)]
    [CrashTestValues("64K")]
    public long MapCache { get; set; } = 16 << 20;

    /// <summary>Bytes for refcount blocks.</summary>
    [Description("memory for refcount blocks")]
    [Range(64L << 10, 1L << 30)]
    [CrashTestValues("64K")]
    public long RefcountCache { get; set; } = 4 << 20;

    /// <summary>Bytes prepared ahead of a sequential writer; 0 for none.</summary>
    [Description("space prepared ahead of a guest that appends, given back at close; with a journal only; 0 for none")]
    [Range(0L, 1L << 30)]
    [CrashTestValues("0", "32K")]
    public long Preallocate { get; set; } = 16 << 20;

    /// <summary>Whether discarded clusters are given back to the host.</summary>
    [Description("give discarded clusters back to the host's file system")]
    public bool Unmap { get; set; } = true;

    /// <summary>Cluster size of a new image.</summary>
    [Description("create: cluster size in bytes, a power of two from 512 to 2M")]
    [Range(512, 2 << 20)]
    [CrashTestValues("4K", "512", "1K", "64K")]
    public long ClusterSize { get; set; } = 64 << 10;

    /// <summary>Refcount width of a new image.</summary>
    [Description("create: width of a refcount in bits")]
    [AllowedValues(1, 2, 4, 8, 16, 32, 64)]
    [CrashTestValues("16", "1", "64")]
    public int RefcountBits { get; set; } = 16;

    /// <summary>Version of a new image.</summary>
    [Description("create: 3 (qemu-img's compat=1.1) or 2 (compat=0.10)")]
    [Range(2, 3)]
    public int Version { get; set; } = 3;

    /// <summary>Whether other writers may leave refcounts stale.</summary>
    [Description("create: allow other programs to write refcounts lazily; this host always writes them")]
    public bool LazyRefcounts { get; set; }

    /// <summary>Compression type of a new image.</summary>
    [Description("create: how other programs will compress clusters: zlib or zstd")]
    [AllowedValues("zlib", "zstd")]
    public string Compression { get; set; } = "zlib";

    internal Qcow2CreateSettings ToSettings(CreateRequest request) => new()
    {
        ClusterSize = (int)ClusterSize,
        RefcountBits = RefcountBits,
        Version = Version,
        LazyRefcounts = LazyRefcounts,
        Compression = Compression == "zstd" ? CompressionKind.Zstd : CompressionKind.Deflate,
        BackingFile = request.BackingFile,
        BackingFormat = request.BackingFormat,
    };
}
