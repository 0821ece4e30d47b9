using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>A file of the file system that is measured, as a benchmark written in C uses it: write, then fsync or fdatasync.</summary>
internal sealed class SyncedFile : IRecordFile
{
    private readonly string _path;
    private readonly SafeFileHandle _file;

    /// <summary>Opens it.</summary>
    public SyncedFile(string path, FileMode mode) => (_path, _file) = (path, File.OpenHandle(path, mode, FileAccess.ReadWrite));

    /// <summary>Bytes.</summary>
    public long Length => RandomAccess.GetLength(_file);

    /// <summary>Writes.</summary>
    public void Write(ReadOnlySpan<byte> data, long offset) => RandomAccess.Write(_file, data, offset);

    /// <summary>Reads all of it, so much at once.</summary>
    public void ReadWhole(Span<byte> buffer)
    {
        for (long offset = 0; ;)
        {
            int read = RandomAccess.Read(_file, buffer, offset);
            if (read == 0) return;
            offset += read;
        }
    }

    /// <summary>fsync(2).</summary>
    public void Sync() => Require(Libc.FSync(_file), "fsync");

    /// <summary>fdatasync(2).</summary>
    public void SyncData() => Require(Libc.FDataSync(_file), "fdatasync");

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Require(int result, string call)
    {
        if (result != 0) throw new StorageException(StorageError.Io, call, _path, -1, 0, Libc.ErrorText(Marshal.GetLastPInvokeError()));
    }
}
