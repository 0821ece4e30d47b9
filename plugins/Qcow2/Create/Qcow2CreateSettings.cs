using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Create;

/// <summary>What a new qcow2 image is to be, apart from its size. The defaults are qemu-img's.</summary>
internal sealed record Qcow2CreateSettings
{
    /// <summary>Bytes; a power of two from 512 to 2 MiB.</summary>
    public int ClusterSize { get; init; } = 65536;

    /// <summary>Width of a refcount: 1, 2, 4, 8, 16, 32 or 64; 16 in version 2.</summary>
    public int RefcountBits { get; init; } = 16;

    /// <summary>3 (QEMU's compat=1.1) or 2 (compat=0.10).</summary>
    public int Version { get; init; } = 3;

    /// <summary>Lets writers leave refcounts stale under the dirty bit; version 3 only.</summary>
    public bool LazyRefcounts { get; init; }

    /// <summary>How compressed clusters will be compressed; zstd in version 3 only.</summary>
    public CompressionKind Compression { get; init; } = CompressionKind.Deflate;

    /// <summary>The backing file's name as it is stored, or null.</summary>
    public string? BackingFile { get; init; }

    /// <summary>The backing file's format id; required with a backing file.</summary>
    public string? BackingFormat { get; init; }
}
