using System.Runtime.InteropServices;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>A directory of a mounted file system, by system calls.</summary>
internal sealed class DirectoryVolume : IBenchVolume
{
    private readonly string _directory;
    private readonly int _root;

    /// <param name="name">As the tables call it.</param>
    /// <param name="directory">It must exist; the files made here are deleted here.</param>
    public DirectoryVolume(string name, string directory)
    {
        Name = name;
        _directory = directory;
        _root = SystemCalls.Open(directory, SystemCalls.CloseOnExec, 0);
        if (_root < 0) throw SystemCalls.Failed("open", directory);
    }

    public string Name { get; }

    public IBenchFile Create(string name, bool synchronous) => Open(name, SystemCalls.Create | SystemCalls.Exclusive, synchronous);

    public IBenchFile Open(string name, bool synchronous) => Open(name, 0, synchronous);

    public void Delete(string name)
    {
        if (SystemCalls.Unlink(PathOf(name)) != 0) throw SystemCalls.Failed("unlink", name);
    }

    public void Settle()
    {
        if (SystemCalls.SyncFileSystem(_root) != 0) throw SystemCalls.Failed("syncfs", _directory);
    }

    public void Dispose() => _ = SystemCalls.Close(_root);

    private string PathOf(string name) => Path.Combine(_directory, name);

    private OpenFile Open(string name, int flags, bool synchronous)
    {
        int file = SystemCalls.Open(PathOf(name), flags | SystemCalls.WriteOnly | SystemCalls.CloseOnExec | (synchronous ? SystemCalls.Synchronous : 0), 0x1a4);
        return file >= 0 ? new OpenFile(file, name) : throw SystemCalls.Failed("open", name);
    }

    private sealed unsafe class OpenFile(int file, string name) : IBenchFile
    {
        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            fixed (byte* start = data)
            {
                nint done = 0;
                while (done < data.Length)
                {
                    nint written = SystemCalls.PWrite(file, start + done, data.Length - done, offset + done);
                    if (written > 0) done += written;
                    else if (Marshal.GetLastPInvokeError() != SystemCalls.EIntr) throw SystemCalls.Failed("pwrite", name);
                }
            }
        }

        public void Flush()
        {
            if (SystemCalls.FSync(file) != 0) throw SystemCalls.Failed("fsync", name);
        }

        public void Dispose()
        {
            if (SystemCalls.Close(file) != 0) throw SystemCalls.Failed("close", name);
        }
    }
}
