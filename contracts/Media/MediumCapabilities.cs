using Microsoft.Win32.SafeHandles;

namespace StoragePlugins;

/// <summary>Capability: the medium can make completed writes durable.</summary>
/// <remarks>
/// Both calls cover every write that <i>returned</i> before the call began, by any thread. After one of them failed, what had been
/// written since the last success may be lost though reads still show it (on Linux the page is marked clean, a second call "succeeds":
/// "Can Applications Recover from fsync Failures?", USENIX ATC '20). The medium reports a failure once, as it was; the ordering
/// primitive makes it final.
/// </remarks>
public interface IFlushableMedium
{
    /// <summary>Makes data durable, and of the file's metadata what is needed to read it back: <c>fdatasync(2)</c>.</summary>
    void FlushData();

    /// <summary>Makes data and all of the file's metadata durable: <c>fsync(2)</c>.</summary>
    void FlushAll();
}

/// <summary>Capability: the device itself orders writes without waiting for durability (a barrier device, a simulation, the crash kit).</summary>
public interface IBarrierMedium
{
    /// <summary>Every write that returned before this call persists before any write that begins after it. Nothing becomes durable.</summary>
    /// <remarks>The medium counts it (<see cref="StorageMeter.CountBarrier"/>), as it counts flushes.</remarks>
    void Barrier();
}

/// <summary>Capability: the medium is an open file or block device of the operating system.</summary>
public interface IFileMedium
{
    /// <summary>The descriptor. It stays the medium's: never close it, never change its offset or flags.</summary>
    SafeFileHandle Handle { get; }

    /// <summary>The absolute path it was opened by.</summary>
    string Path { get; }
}

/// <summary>Capability: ranges can be given back or zeroed without sending zeros.</summary>
public interface IDeallocatingMedium
{
    /// <summary>Gives the range back to the host; it reads as zeros. The length of the medium stays.</summary>
    /// <returns>False when the file system refuses: nothing was changed.</returns>
    bool TryPunchHole(long offset, long length);

    /// <summary>Makes the range read as zeros and keeps, where the file system can, its space reserved.</summary>
    /// <returns>False when the file system cannot do it faster than by writing: nothing was changed.</returns>
    bool TryZeroRange(long offset, long length);
}

/// <summary>Capability: a read can be tried without waiting for a device.</summary>
public interface INonBlockingMedium
{
    /// <summary>Fills the buffer when all of it is in memory (<c>preadv2(2)</c> with <c>RWF_NOWAIT</c>).</summary>
    /// <returns>False when it would have to wait; the buffer may then hold anything.</returns>
    bool TryRead(long offset, Span<byte> buffer);
}

/// <summary>Capability: extents can be allocated and <i>written</i> ahead of use.</summary>
/// <remarks>Written extents, not reserved ones: the first write into an unwritten extent costs the host file system a journal commit
/// at the next flush, as much as the flush itself.</remarks>
public interface IPreallocatingMedium
{
    /// <summary>Allocates the range and fills it with zeros, by the device (<c>FALLOC_FL_WRITE_ZEROES</c>) or by large writes.</summary>
    /// <remarks>Whatever the range held is gone. Grows the medium where needed. Not durable until a flush.</remarks>
    void Preallocate(long offset, long length);

    /// <summary>Bytes that the host can still allocate for this medium; <see cref="long.MaxValue"/> when that is not known. A hint: others allocate as well.</summary>
    long FreeBytes => long.MaxValue;
}

/// <summary>Capability: the medium knows which of its ranges occupy space.</summary>
public interface ISparseMedium
{
    /// <summary>Describes the run that starts at <paramref name="offset"/> (<c>SEEK_DATA</c>, <c>SEEK_HOLE</c>).</summary>
    /// <returns>Its length, at most to the end of the medium, and whether it is a hole, which reads as zeros.</returns>
    (long Length, bool IsHole) DescribeRun(long offset);
}

/// <summary>Capability: the medium has a name of its own that can be taken away: a file can be unlinked.</summary>
public interface IRemovableMedium
{
    /// <summary>Removes the name, durably, where nothing else has taken it since. The medium itself goes on until it is disposed.</summary>
    /// <remarks>For media that a strategy made for itself through <see cref="StrategyContext.OpenMedium"/>: never by path, since the location may
    /// be a simulation's.</remarks>
    void Remove();
}

/// <summary>Capability: what is known of the device's own volatile write cache.</summary>
public interface IWriteCacheMedium
{
    /// <summary>Whether a completed write can still be lost by the device.</summary>
    WriteCacheKind WriteCache { get; }
}

/// <summary>What is known of a device's write cache.</summary>
public enum WriteCacheKind
{
    /// <summary>Nothing certain: treat it as volatile.</summary>
    Unknown = 0,

    /// <summary>The device says that it caches writes ("write back").</summary>
    Volatile,

    /// <summary>The device says that completed writes are durable ("write through").</summary>
    WriteThrough,
}
