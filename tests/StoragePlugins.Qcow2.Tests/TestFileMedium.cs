using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Qcow2.Tests;

/// <summary>A file as a medium, and nothing more: what formats are tested on without the host.</summary>
internal sealed class TestFileMedium : IStorageMedium, IPreallocatingMedium
{
    private readonly SafeFileHandle _handle;

    public TestFileMedium(string path, bool readOnly = false, bool create = false)
    {
        Name = path;
        IsReadOnly = readOnly;
        _handle = File.OpenHandle(path, create ? FileMode.Create : FileMode.Open, readOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite);
    }

    public string Name { get; }
    public bool IsReadOnly { get; }

    /// <summary>What the host is said to have left.</summary>
    public long FreeBytes { get; init; } = long.MaxValue;

    public long Length => RandomAccess.GetLength(_handle);

    public int Read(long offset, Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            int got = RandomAccess.Read(_handle, buffer[done..], offset + done);
            if (got == 0) break;
            done += got;
        }

        return done;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        RefuseIfReadOnly("write", offset, data.Length);
        RandomAccess.Write(_handle, data, offset);
    }

    public void SetLength(long length)
    {
        RefuseIfReadOnly("set length", 0, length);
        RandomAccess.SetLength(_handle, length);
    }

    public void Preallocate(long offset, long length) => Write(offset, new byte[length], ContentClass.Preallocation);

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => _handle.Dispose();

    private void RefuseIfReadOnly(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, Name, offset, length, "opened for reading");
    }
}
