using Microsoft.Win32.SafeHandles;
using StoragePlugins;

namespace Samples.DsyncOrdering.Tests;

/// <summary>A file that counts what reaches it through its own methods, and shows its descriptor as the host's medium does.</summary>
internal sealed class FileMedium : IStorageMedium, IFileMedium, IFlushableMedium
{
    public FileMedium(string path, FileAccess access = FileAccess.ReadWrite)
    {
        Path = path;
        Handle = File.OpenHandle(path, FileMode.Open, access, FileShare.ReadWrite);
    }

    public string Path { get; }

    public SafeFileHandle Handle { get; }

    public string Name => Path;

    public long Length => RandomAccess.GetLength(Handle);

    public bool IsReadOnly => false;

    public int Writes { get; private set; }

    public int Flushes { get; private set; }

    public int Read(long offset, Span<byte> buffer) => RandomAccess.Read(Handle, buffer, offset);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        Writes++;
        RandomAccess.Write(Handle, data, offset);
    }

    public void SetLength(long length) => RandomAccess.SetLength(Handle, length);

    public void FlushData() => Flushes++;

    public void FlushAll() => Flushes++;

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose() => Handle.Dispose();
}
