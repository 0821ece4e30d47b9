using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>The image as the format sees it: what was committed is there, and what is written is never undone by a replay.</summary>
internal sealed class SidecarHome(IOrderedMedium home, SidecarSession session) : IOrderedMedium, IDeallocatingMedium, IPreallocatingMedium
{
    private readonly IDeallocatingMedium? _deallocating = home.GetCapability<IDeallocatingMedium>();
    private readonly IPreallocatingMedium? _preallocating = home.GetCapability<IPreallocatingMedium>();

    public string Name => home.Name;

    public long Length => home.Length;

    public bool IsReadOnly => home.IsReadOnly;

    public long FreeBytes => _preallocating!.FreeBytes;

    public T? GetCapability<T>() where T : class => typeof(T) switch
    {
        var type when type == typeof(IDeallocatingMedium) => _deallocating is null ? null : this as T,
        var type when type == typeof(IPreallocatingMedium) => _preallocating is null ? null : this as T,
        var type when type == typeof(INonBlockingMedium) || type == typeof(ISparseMedium) || type == typeof(IWriteCacheMedium) => home.GetCapability<T>(),
        _ => null,
    };

    public int Read(long offset, Span<byte> buffer) => home.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        session.Release(offset, data.Length);
        home.Write(offset, data, content);
    }

    public void SetLength(long length)
    {
        session.Release(length, long.MaxValue - length);
        home.SetLength(length);
    }

    public bool TryPunchHole(long offset, long length)
    {
        session.Release(offset, length);
        return _deallocating!.TryPunchHole(offset, length);
    }

    public bool TryZeroRange(long offset, long length)
    {
        session.Release(offset, length);
        return _deallocating!.TryZeroRange(offset, length);
    }

    public void Preallocate(long offset, long length)
    {
        session.Release(offset, length);
        _preallocating!.Preallocate(offset, length);
    }

    public void Barrier()
    {
        session.ThrowIfPoisoned();
        home.Barrier();
    }

    public void Flush()
    {
        session.ThrowIfPoisoned();
        home.Flush();
    }

    // The format's, not ours.
    public void Dispose()
    {
    }
}
