namespace StoragePlugins.Tests;

/// <summary>A medium in memory that logs what reaches it, in order, and fails where a test says so.</summary>
internal class MemoryMedium : IStorageMedium, IFlushableMedium, IDeallocatingMedium
{
    private byte[] _bytes = [];

    /// <summary>"write 4096+512 Map", "fdatasync", … in order.</summary>
    public List<string> Log { get; } = [];

    /// <summary>Called before an operation is carried out; throws to make it fail.</summary>
    public Action<string>? Before { get; set; }

    /// <summary>Hides the ability to flush.</summary>
    public bool CannotFlush { get; init; }

    /// <summary>Makes holes and zero ranges impossible, as on some file systems.</summary>
    public bool CannotDeallocate { get; init; }

    public string Name => "memory";

    public long Length => _bytes.Length;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer)
    {
        int there = (int)Math.Clamp(_bytes.Length - offset, 0, buffer.Length);
        if (there > 0) _bytes.AsSpan((int)offset, there).CopyTo(buffer);
        return there;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        Note($"write {offset}+{data.Length} {content}");
        if (offset + data.Length > _bytes.Length) Array.Resize(ref _bytes, (int)offset + data.Length);
        data.CopyTo(_bytes.AsSpan((int)offset));
    }

    public void SetLength(long length)
    {
        Note($"length {length}");
        Array.Resize(ref _bytes, (int)length);
    }

    public void FlushData() => Note("fdatasync");

    public void FlushAll() => Note("fsync");

    public bool TryPunchHole(long offset, long length) => TryClear("punch", offset, length);

    public bool TryZeroRange(long offset, long length) => TryClear("zero", offset, length);

    public T? GetCapability<T>() where T : class =>
        Offers(typeof(T)) ? this as T : null;

    public void Dispose()
    {
        Log.Add("dispose");
        GC.SuppressFinalize(this);
    }

    /// <summary>Whether an ability that the class has is there in this test.</summary>
    protected virtual bool Offers(Type capability) =>
        !(CannotFlush && capability == typeof(IFlushableMedium)) && !(CannotDeallocate && capability == typeof(IDeallocatingMedium));

    private bool TryClear(string operation, long offset, long length)
    {
        Note($"{operation} {offset}+{length}");
        _bytes.AsSpan((int)offset, (int)length).Clear();
        return true;
    }

    private void Note(string operation)
    {
        Before?.Invoke(operation);
        Log.Add(operation);
    }
}
