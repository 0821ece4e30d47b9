namespace StoragePlugins.Qcow2.Data;

/// <summary>Describes guest ranges: allocated, zero, or whatever the backing chain says.</summary>
/// <param name="reader">Reads maps.</param>
/// <param name="backing">The backing file.</param>
/// <param name="clusterBits">log2 of the cluster size.</param>
/// <param name="ahead">What is mapped ahead on the live disk; <see langword="null"/> for a snapshot, whose map it says nothing of.</param>
internal sealed class ExtentDescriber(ClusterReader reader, IVirtualDisk? backing, int clusterBits, AppendAhead? ahead)
{
    private readonly IExtentDisk? _backingExtents = backing?.GetCapability<IExtentDisk>();

    public int Describe(ulong[] l1, long offset, long length, Span<DiskExtent> extents)
    {
        int count = 0;
        while (length > 0 && count < extents.Length)
        {
            reader.TryDescribe(l1, offset, length, mayWait: true, out ClusterReader.Run run);
            int added = 1;
            long covered = run.Length;
            if (run.Kind == ClusterKind.Unallocated && reader.HasBackingAt(offset)) covered = DescribeBacking(offset, run.Length, extents[count..], out added);
            else if (run.Kind == ClusterKind.Data && ahead is not null) covered = DescribeData(ahead, offset, run.Length, out extents[count]);
            else extents[count] = new DiskExtent(run.Length, FlagsOf(run.Kind), run.Kind == ClusterKind.Unallocated ? 0 : 1);
            count += added;
            offset += covered;
            length -= covered;
        }

        return count;
    }

    /// <summary>What was mapped ahead of the guest and is not written yet is still a hole to it.</summary>
    private long DescribeData(AppendAhead ahead, long offset, long length, out DiskExtent extent)
    {
        long cluster = offset >> clusterBits;
        (bool unwritten, long clusters) = ahead.Describe(cluster);
        if (clusters < (length >> clusterBits) + 2) length = Math.Min(length, ((cluster + clusters) << clusterBits) - offset);
        extent = unwritten ? new DiskExtent(length, ExtentFlags.Hole | ExtentFlags.Zero, 0) : new DiskExtent(length, ExtentFlags.None, 1);
        return length;
    }

    private long DescribeBacking(long offset, long length, Span<DiskExtent> extents, out int count)
    {
        length = Math.Min(length, backing!.Length - offset);
        if (_backingExtents is null)
        {
            extents[0] = new DiskExtent(length, ExtentFlags.None, 2);
            count = 1;
            return length;
        }

        count = _backingExtents.DescribeExtents(offset, length, extents);
        long covered = 0;
        for (int i = 0; i < count; i++)
        {
            covered += extents[i].Length;
            extents[i] = extents[i] with { Depth = extents[i].Depth == 0 ? 0 : extents[i].Depth + 1 };
        }

        return covered;
    }

    private static ExtentFlags FlagsOf(ClusterKind kind) => kind switch
    {
        ClusterKind.Unallocated or ClusterKind.Zero => ExtentFlags.Hole | ExtentFlags.Zero,
        ClusterKind.ZeroAllocated => ExtentFlags.Zero,
        _ => ExtentFlags.None,
    };
}
