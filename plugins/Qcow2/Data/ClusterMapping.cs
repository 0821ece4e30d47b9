using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Data;

/// <summary>What an L2 entry says of a guest cluster.</summary>
internal enum ClusterKind
{
    /// <summary>Not in this image: the backing file's, or zeros.</summary>
    Unallocated,

    /// <summary>Reads as zeros, no host cluster.</summary>
    Zero,

    /// <summary>Reads as zeros, with a host cluster kept for it.</summary>
    ZeroAllocated,

    /// <summary>A host cluster holds the data.</summary>
    Data,

    /// <summary>Compressed.</summary>
    Compressed,
}

/// <summary>An L2 entry, taken apart and judged.</summary>
/// <param name="Kind">What it says.</param>
/// <param name="HostOffset">The host cluster's first byte for <see cref="ClusterKind.Data"/> and <see cref="ClusterKind.ZeroAllocated"/>.</param>
/// <param name="Copied">The host cluster is referenced once: it may be written in place.</param>
internal readonly record struct ClusterMapping(ClusterKind Kind, long HostOffset, bool Copied)
{
    /// <summary>Whether guest bytes go straight into the host cluster.</summary>
    public bool IsInPlace => Kind == ClusterKind.Data && Copied;

    /// <summary>Takes an entry apart.</summary>
    /// <param name="entry">In host byte order.</param>
    /// <param name="clusterSize">Bytes.</param>
    /// <param name="zeroFlag">Bit 0 in version 3; 0 in version 2, where the bit is reserved.</param>
    /// <param name="mapping">The result; meaningless when false is returned.</param>
    /// <returns>False for an entry that no valid image has.</returns>
    public static bool TryDecode(ulong entry, int clusterSize, ulong zeroFlag, out ClusterMapping mapping)
    {
        if ((entry & Qcow2Layout.CompressedFlag) != 0)
        {
            mapping = new ClusterMapping(ClusterKind.Compressed, 0, false);
            return (entry & Qcow2Layout.CopiedFlag) == 0;
        }

        long offset = (long)(entry & Qcow2Layout.OffsetMask);
        bool copied = (entry & Qcow2Layout.CopiedFlag) != 0;
        bool zero = (entry & zeroFlag) != 0;
        ClusterKind kind = zero ? (offset == 0 ? ClusterKind.Zero : ClusterKind.ZeroAllocated)
            : offset == 0 ? ClusterKind.Unallocated : ClusterKind.Data;
        mapping = new ClusterMapping(kind, offset, copied);
        bool reserved = (entry & (Qcow2Layout.L2ReservedMask | (1UL ^ zeroFlag))) != 0;
        return !reserved && (offset & (clusterSize - 1)) == 0 && !(copied && offset == 0);
    }
}
