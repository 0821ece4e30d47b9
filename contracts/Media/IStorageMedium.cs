namespace StoragePlugins;

/// <summary>
/// Bytes at offsets: a file, a block device, a mapped region, a simulation. It knows what the device can do and orders nothing.
/// </summary>
/// <remarks>
/// <para><b>Units.</b> Offsets and lengths are bytes from the start of the medium, 0 ≤ offset, offset + length ≤ 2^63 − 1.
/// No alignment is asked for.</para>
/// <para><b>Threading.</b> Every method may be called from any thread at any time. Two overlapping writes in flight at once may land in
/// either order, and a read that overlaps a write in flight may see any mixture; a read that starts after a write returned sees it.</para>
/// <para><b>Durability.</b> None. A write that returned is visible to reads and may be lost by a power cut until a flush that started
/// later has returned. Ordering and durability are bought by an <see cref="IOrderingPrimitive"/> through this medium's capabilities.</para>
/// <para><b>Errors.</b> A <see cref="StorageException"/> that names operation, medium, offset and length. A failed write may have
/// written any part of its range.</para>
/// <para><b>Capabilities</b> to ask for: <see cref="IFlushableMedium"/>, <see cref="IBarrierMedium"/>, <see cref="IFileMedium"/>,
/// <see cref="IDeallocatingMedium"/>, <see cref="INonBlockingMedium"/>, <see cref="IPreallocatingMedium"/>,
/// <see cref="ISparseMedium"/>, <see cref="IWriteCacheMedium"/>, <see cref="IRemovableMedium"/>, <see cref="IPersistentMemory"/>,
/// <see cref="IMappableMedium"/>.</para>
/// </remarks>
public interface IStorageMedium : ICapabilitySource, IDisposable
{
    /// <summary>What messages call it: a path as the user wrote it, or a description.</summary>
    string Name { get; }

    /// <summary>The present length in bytes. Grows when a write ends beyond it.</summary>
    long Length { get; }

    /// <summary>True when every write is refused with <see cref="StorageError.ReadOnly"/>.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads until the buffer is full or the medium ends.</summary>
    /// <returns>The number of bytes read: less than asked for only at the end of the medium, 0 beyond it.</returns>
    int Read(long offset, Span<byte> buffer);

    /// <summary>Writes all of <paramref name="data"/>, growing the medium where it ends beyond <see cref="Length"/>.</summary>
    /// <remarks>A gap between the old end and <paramref name="offset"/> reads as zeros. Never writes short: it throws instead
    /// (<see cref="StorageError.NoSpace"/> when the device is full).</remarks>
    void Write(long offset, ReadOnlySpan<byte> data, ContentClass content);

    /// <summary>Cuts or extends the medium. An extension reads as zeros and need not occupy space.</summary>
    void SetLength(long length);
}
