using System.Runtime.InteropServices;

namespace StoragePlugins.Media.Mapping;

/// <summary>
/// A file mapped into memory. The address range has the capacity that was asked for; the part behind the end of the file becomes usable when the file grows.
/// </summary>
internal sealed unsafe class MappedMemory : IPersistentMemory, IDisposable
{
    private readonly FileMedium _medium;
    private readonly StorageMeter _meter;
    private readonly nint _capacity;
    private readonly SigbusGuard.Range _guard;
    private byte* _base;

    /// <param name="medium">The file; its length is the mapping's.</param>
    /// <param name="address">The mapping, which this object unmaps.</param>
    /// <param name="capacity">Its length in bytes.</param>
    /// <param name="pageBytes">The unit in which it can be replaced.</param>
    /// <param name="domain">Where a store is durable.</param>
    /// <param name="isEmulated">Whether ordinary memory or a weaker domain stands in.</param>
    /// <param name="meter">Counts the waits for <c>msync(2)</c>.</param>
    public MappedMemory(FileMedium medium, nint address, nint capacity, nint pageBytes, PersistenceDomain domain, bool isEmulated, StorageMeter meter)
    {
        _guard = SigbusGuard.Register(address, capacity, pageBytes);
        _medium = medium;
        _base = (byte*)address;
        _capacity = capacity;
        _meter = meter;
        Domain = domain;
        IsEmulated = isEmulated;
    }

    public long Length => Math.Min(_medium.Length, _capacity);

    public PersistenceDomain Domain { get; }

    public bool IsEmulated { get; }

    public ReadOnlySpan<byte> View(long offset, int length) => new(At(offset, length), length);

    public void Store(long offset, ReadOnlySpan<byte> data)
    {
        byte* to = WritableAt("store", offset, data.Length);
        fixed (byte* from = data) CacheStores.Copy(to, from, data.Length);
        ThrowIfLost();
    }

    public void StoreNonTemporal(long offset, ReadOnlySpan<byte> data)
    {
        byte* to = WritableAt("store", offset, data.Length);
        if (Domain == PersistenceDomain.Msync)
        {
            // The page cache is read back by the kernel: past the CPU's cache would be the longer way.
            data.CopyTo(new Span<byte>(to, data.Length));
            ThrowIfLost();
            return;
        }

        fixed (byte* source = data)
        {
            byte* from = source;
            nint left = data.Length;
            nint head = Math.Min(-(nint)to & (CacheStores.LineBytes - 1), left);
            if (head > 0) StoreAndWriteBack(ref to, ref from, ref left, head);
            nint lines = left / CacheStores.LineBytes;
            CacheStores.StreamLines(to, from, lines);
            nint streamed = lines * CacheStores.LineBytes;
            to += streamed;
            from += streamed;
            left -= streamed;
            if (left > 0) StoreAndWriteBack(ref to, ref from, ref left, left);
        }

        ThrowIfLost();
    }

    public void FlushLines(long offset, long length)
    {
        byte* start = At(offset, length);
        if (Domain == PersistenceDomain.Adr && length > 0) CacheStores.WriteBack(start, (nint)length);
        ThrowIfLost();
    }

    public void Fence()
    {
        CacheStores.Fence();
        ThrowIfNotDurable("fence");
    }

    public void Persist(long offset, long length)
    {
        byte* start = At(offset, length);
        switch (Domain)
        {
            case PersistenceDomain.Msync:
                nint first = (nint)start & ~(nint)(Environment.SystemPageSize - 1);
                int result = MappingCalls.Sync(first, (nint)start + (nint)length - first, MappingCalls.MSyncWait);
                int errno = result == 0 ? 0 : Marshal.GetLastPInvokeError();
                _meter.CountHostFlush();
                if (result != 0) throw new DurabilityLostException("msync", _medium.Name, Libc.ErrorText(errno));
                break;
            case PersistenceDomain.Adr:
                if (length > 0) CacheStores.WriteBack(start, (nint)length);
                CacheStores.Fence();
                break;
            case PersistenceDomain.Eadr:
                CacheStores.Fence();
                break;
        }

        ThrowIfNotDurable("persist");
    }

    public void ThrowIfLost()
    {
        if (_guard.IsLost) throw new StorageException(StorageError.Io, "mapped access", _medium.Name, -1, 0, LostReason);
    }

    /// <summary>Whether a page was lost.</summary>
    public bool IsLost => _guard.IsLost;

    public void Dispose()
    {
        if (_base == null) return;
        nint address = (nint)_base;
        _base = null;
        _guard.Release();
        // munmap of a whole mapping has nothing to fail for.
        _ = MappingCalls.Unmap(address, _capacity);
    }

    private const string LostReason =
        "a page of the mapping is gone (the file was cut, its file system is full, or the memory failed); close the disk, check the file and open it again";

    private void ThrowIfNotDurable(string operation)
    {
        if (_guard.IsLost) throw new DurabilityLostException(operation, _medium.Name, LostReason);
    }

    private void StoreAndWriteBack(ref byte* to, ref byte* from, ref nint left, nint length)
    {
        CacheStores.Copy(to, from, length);
        if (Domain == PersistenceDomain.Adr) CacheStores.WriteBack(to, length);
        to += length;
        from += length;
        left -= length;
    }

    private byte* WritableAt(string operation, long offset, long length)
    {
        if (_medium.IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, _medium.Name, offset, length, "it was opened read-only");
        return At(offset, length);
    }

    private byte* At(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_base == null, this);
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new StorageException(StorageError.InvalidRange, "mapped access", _medium.Name, offset, length, $"the mapping has {Length} bytes");
        return _base + offset;
    }
}
