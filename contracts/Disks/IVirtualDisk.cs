namespace StoragePlugins;

/// <summary>A virtual disk: what a guest sees. Synchronous, thread-safe, span-based; the host owns the parallelism.</summary>
/// <remarks>
/// <para><b>Units.</b> Bytes, any alignment, 0 ≤ offset, offset + length ≤ <see cref="Length"/>; anything else is
/// <see cref="StorageError.InvalidRange"/>. A length of 0 does nothing.</para>
/// <para><b>Threading.</b> Any number of calls at once. Overlapping writes in flight land in any order, sector by sector; a read that
/// starts after a write returned sees it.</para>
/// <para><b>Durability.</b> A write that returned is volatile. <see cref="Flush"/> and <see cref="WriteFlags.ForceUnitAccess"/> make it durable.
/// After a crash every sector (512 bytes) written since the last flush reads as its old or a later submitted value, never as anything else.</para>
/// <para><b>Errors.</b> <see cref="StorageException"/>; its <see cref="StorageException.Error"/> is what a client is told.</para>
/// <para><b>Capabilities</b> to ask for: <see cref="INonBlockingDisk"/>, <see cref="IDiscardDisk"/>, <see cref="IZeroingDisk"/>,
/// <see cref="IExtentDisk"/>, <see cref="IBarrierDisk"/>, <see cref="IResizableDisk"/>.</para>
/// </remarks>
public interface IVirtualDisk : ICapabilitySource, IDisposable
{
    /// <summary>Bytes; a multiple of 512 for most formats, any number for raw.</summary>
    long Length { get; }

    /// <summary>True when writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>The unit in which the disk allocates, in bytes (qcow2: cluster size); requests of this size and alignment are cheapest.</summary>
    int PreferredBlockSize { get; }

    /// <summary>Fills the buffer.</summary>
    void Read(long offset, Span<byte> buffer);

    /// <summary>Writes all of <paramref name="data"/>.</summary>
    void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None);

    /// <summary>Makes every write that returned before this call, through any connection, durable: data and the metadata to find it.</summary>
    /// <exception cref="DurabilityLostException">It cannot: final until the image is opened anew.</exception>
    void Flush();
}

/// <summary>Modifiers of a write.</summary>
[Flags]
public enum WriteFlags
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>FUA: this write, and the metadata to find it, is durable on return.</summary>
    ForceUnitAccess = 1,
}
