namespace StoragePlugins;

/// <summary>
/// Capability: the medium is a mapped region that the CPU stores to. Persistent-memory journals and the in-memory file system use it.
/// </summary>
/// <remarks>
/// <para>Only 8 aligned bytes are atomic against a power cut. A cached store may persist at any time; a flushed or non-temporal store is
/// durable after the next <see cref="Fence"/> of the same thread. With <see cref="PersistenceDomain.Msync"/> nothing is durable before
/// <see cref="Persist"/>.</para>
/// <para>Every store goes through this interface, so that the crash kit sees stores, flushes and fences as they happen; a call costs
/// about 2 ns against 100 ns for a 64-byte non-temporal store with its fence.</para>
/// <para>Threading: as memory. Two stores to one word at once are the caller's race. A lost mapping (a shrunk file, a media error) is a
/// <see cref="StorageException"/>, not a signal: every store, flush and fence asks for itself, the reader of a <see cref="View"/> asks
/// with <see cref="ThrowIfLost"/> when it has read.</para>
/// </remarks>
public interface IPersistentMemory
{
    /// <summary>The length of the mapping in bytes: that of the medium, within the capacity that was asked for.</summary>
    long Length { get; }

    /// <summary>What it takes for a store to be durable here.</summary>
    PersistenceDomain Domain { get; }

    /// <summary>True when ordinary memory stands in for persistent memory: nothing here survives a power cut.</summary>
    bool IsEmulated { get; }

    /// <summary>A read-only view. At most 2^31 − 1 bytes; valid as long as the medium.</summary>
    ReadOnlySpan<byte> View(long offset, int length);

    /// <summary>Cached stores, in ascending order, split at 8-byte boundaries.</summary>
    void Store(long offset, ReadOnlySpan<byte> data);

    /// <summary>Stores that pass the cache in whole 64-byte lines; unaligned head and tail are stored cached and flushed.</summary>
    void StoreNonTemporal(long offset, ReadOnlySpan<byte> data);

    /// <summary>Starts writing back the cache lines of the range; done at the next <see cref="Fence"/>.</summary>
    void FlushLines(long offset, long length);

    /// <summary>Waits until this thread's flushed and non-temporal stores are in the persistence domain (<c>sfence</c>).</summary>
    /// <exception cref="DurabilityLostException">The mapping was lost: what was stored may be gone.</exception>
    void Fence();

    /// <summary>Makes the range durable by whatever the domain needs: flush and fence, fence alone, or <c>msync(2)</c>.</summary>
    /// <exception cref="DurabilityLostException">It failed; never to be tried again.</exception>
    void Persist(long offset, long length);

    /// <summary>To be called after reading a <see cref="View"/>: bytes of a lost page read as zeros.</summary>
    /// <exception cref="StorageException">The mapping was lost, now or before. It stays lost.</exception>
    void ThrowIfLost();
}

/// <summary>Where a store becomes durable. A later one promises more of the hardware, and asks for less work.</summary>
public enum PersistenceDomain
{
    /// <summary>Nothing is durable: emulation.</summary>
    None = 0,

    /// <summary>The page cache stands between: <c>msync(2)</c>.</summary>
    Msync,

    /// <summary>The memory controller: flush or non-temporal store, then fence.</summary>
    Adr,

    /// <summary>The CPU caches: a retired store is durable; order still matters.</summary>
    Eadr,
}

/// <summary>Capability: the medium can be mapped into memory.</summary>
public interface IMappableMedium
{
    /// <summary>Maps the medium from its first byte. The mapping lives as long as the medium, and is writable where the medium is.</summary>
    /// <exception cref="DiagnosticException">SP5020–SP5026: it cannot be mapped here, or the mapping does not give the domain asked for.</exception>
    IPersistentMemory Map(MappingRequest request);
}

/// <summary>What a mapping is to be.</summary>
public sealed record MappingRequest
{
    /// <summary>What the user says a store needs to be durable; <see langword="null"/> for what the mapping is known to give.</summary>
    public PersistenceDomain? Domain { get; init; }

    /// <summary>The user agrees that ordinary memory, or a weaker domain, stands in for the one asked for.</summary>
    public bool Emulated { get; init; }

    /// <summary>Bytes of address range to set aside, for a medium that grows; 0 for its present length.</summary>
    public long Capacity { get; init; }
}
