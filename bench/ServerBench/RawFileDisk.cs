using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.ServerBench;

/// <summary>The least disk there is: a raw file in page cache. It shows what the server costs, without formats and pipelines.</summary>
internal sealed class RawFileDisk(string path, bool nonBlocking) : IVirtualDisk, INonBlockingDisk
{
    private readonly SafeFileHandle _file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);

    public long Length { get; } = new FileInfo(path).Length;

    public bool IsReadOnly => false;

    public int PreferredBlockSize => 4096;

    public T? GetCapability<T>() where T : class => typeof(T) == typeof(INonBlockingDisk) && nonBlocking ? (T)(object)this : null;

    public void Read(long offset, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int read = RandomAccess.Read(_file, buffer, offset);
            if (read == 0) throw new StorageException(StorageError.Io, "read", path, offset, buffer.Length, "the file is shorter than it was");
            buffer = buffer[read..];
            offset += read;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) => RandomAccess.Write(_file, data, offset);

    public void Flush() => RandomAccess.FlushToDisk(_file);

    public bool TryRead(long offset, Span<byte> buffer)
    {
        Read(offset, buffer);
        return true;
    }

    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        Write(offset, data);
        return true;
    }

    public void Dispose() => _file.Dispose();
}
