namespace StoragePlugins;

/// <summary>Capability: requests that can be answered at once, on the caller's thread, without waiting for a device or another request.</summary>
/// <remarks>An export calls these first and hands what returns false to a worker.</remarks>
public interface INonBlockingDisk
{
    /// <summary>Fills the buffer when the mapping and the data are in memory.</summary>
    /// <returns>False when it would have to wait; the buffer may then hold anything.</returns>
    bool TryRead(long offset, Span<byte> buffer);

    /// <summary>Writes when the range is allocated, unshared, and its mapping is in memory.</summary>
    /// <returns>False when it would have to wait or allocate: nothing was written.</returns>
    bool TryWrite(long offset, ReadOnlySpan<byte> data);
}

/// <summary>Capability: ranges can be given back.</summary>
public interface IDiscardDisk
{
    /// <summary>Says that the content of the range no longer matters. Parts smaller than <see cref="IVirtualDisk.PreferredBlockSize"/> may be ignored.</summary>
    /// <remarks>What is discarded reads as zeros or as before. Volatile until a flush, like a write.</remarks>
    void Discard(long offset, long length, WriteFlags flags = WriteFlags.None);
}

/// <summary>Capability: ranges can be zeroed without sending zeros.</summary>
public interface IZeroingDisk
{
    /// <summary>Makes the range read as zeros.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes; may exceed 4 GiB.</param>
    /// <param name="mayUnmap">The space may be given back.</param>
    /// <param name="flags">FUA.</param>
    void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None);

    /// <summary>Whether <see cref="WriteZeroes"/> of this range is a metadata operation, not slower zeros (NBD's <c>FAST_ZERO</c>).</summary>
    bool IsZeroingFast(long offset, long length);
}

/// <summary>Capability: the disk can say how its ranges are allocated.</summary>
public interface IExtentDisk
{
    /// <summary>Describes runs from <paramref name="offset"/> on, in order and without gaps.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes of interest; the runs cover at most so many, and at least one run is returned.</param>
    /// <param name="extents">Receives the runs.</param>
    /// <returns>The number of runs. Neighbouring runs may be alike.</returns>
    int DescribeExtents(long offset, long length, Span<DiskExtent> extents);
}

/// <summary>A run of a disk.</summary>
/// <param name="Length">Bytes.</param>
/// <param name="Flags">What is known of it.</param>
/// <param name="Depth">In which layer of the backing chain it is allocated: 1 the disk itself, 2 its backing file, …; 0 in none.</param>
public readonly record struct DiskExtent(long Length, ExtentFlags Flags, int Depth);

/// <summary>Facts about a run.</summary>
[Flags]
public enum ExtentFlags
{
    /// <summary>Allocated data.</summary>
    None = 0,

    /// <summary>Occupies no space in any layer.</summary>
    Hole = 1,

    /// <summary>Reads as zeros.</summary>
    Zero = 2,
}

/// <summary>Capability: order without durability, asked for by the guest.</summary>
public interface IBarrierDisk
{
    /// <summary>Every write that returned before this call persists before any that begins after it returned. Nothing need be durable.</summary>
    /// <remarks>
    /// <para>Data with all that is needed to find it; discards and zeroing count as writes. A write in flight during the call falls on either side. Thread-safe.</para>
    /// <para>It need not do anything at once: what matters is what a crash can show. A format whose commits are atomic may put it off until something is
    /// written that could be seen without the next commit (<c>qcow2</c> does). A disk offers this only where it can keep the promise; it never answers
    /// without keeping it.</para>
    /// </remarks>
    /// <exception cref="DurabilityLostException">Order can no longer be promised: final until the image is opened anew.</exception>
    /// <exception cref="StorageException">It failed and nothing was ordered; it may be asked for again.</exception>
    void Barrier();
}

/// <summary>Capability: the disk can change its length.</summary>
public interface IResizableDisk
{
    /// <summary>Sets the length. New bytes read as zeros; cut ones are gone. Quiesces the disk; durable on return.</summary>
    void Resize(long length);
}
