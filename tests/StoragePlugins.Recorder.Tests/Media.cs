using StoragePlugins.Tests;

namespace StoragePlugins.Recorder.Tests;

/// <summary>Has every capability that a medium can have; zeroed ranges and preallocation grow it, as they grow a file.</summary>
internal sealed class EverythingMedium : MemoryMedium, IStorageMedium, IBarrierMedium, IFileMedium, IPreallocatingMedium, ISparseMedium, IWriteCacheMedium, IMappableMedium, IDeallocatingMedium
{
    public Microsoft.Win32.SafeHandles.SafeFileHandle Handle => new();

    public string Path => "/disk";

    public WriteCacheKind WriteCache => WriteCacheKind.Volatile;

    public void Barrier() => Before?.Invoke("barrier");

    public void Preallocate(long offset, long length) => Write(offset, new byte[length], ContentClass.Preallocation);

    public (long Length, bool IsHole) DescribeRun(long offset) => (Length - offset, false);

    public IPersistentMemory Map(MappingRequest request) => throw new InvalidOperationException("It would go by the log.");

    bool IDeallocatingMedium.TryZeroRange(long offset, long length)
    {
        Write(offset, new byte[length], ContentClass.GuestData);
        return true;
    }
}

/// <summary>Memory that threads may write at once.</summary>
internal sealed class LockedMedium(int length) : IStorageMedium, IFlushableMedium
{
    private readonly byte[] _bytes = new byte[length];

    public string Name => "memory";

    public long Length => _bytes.Length;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer)
    {
        lock (_bytes) _bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
        return buffer.Length;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        lock (_bytes) data.CopyTo(_bytes.AsSpan((int)offset));
        Thread.Yield();
    }

    public void SetLength(long length) => throw new NotSupportedException();

    public void FlushData() => Thread.Yield();

    public void FlushAll() => FlushData();

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }
}

/// <summary>Takes everything and keeps nothing.</summary>
internal sealed class NullMedium : IStorageMedium, IFlushableMedium, IDeallocatingMedium
{
    public string Name => "null";

    public long Length => 1 << 20;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer)
    {
        buffer.Clear();
        return buffer.Length;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
    }

    public void SetLength(long length)
    {
    }

    public void FlushData()
    {
    }

    public void FlushAll()
    {
    }

    public bool TryPunchHole(long offset, long length) => true;

    public bool TryZeroRange(long offset, long length) => true;

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }
}
