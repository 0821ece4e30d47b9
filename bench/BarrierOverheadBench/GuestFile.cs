using System.Runtime.InteropServices;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A file of the guest, by the system calls that a C program would make.</summary>
internal sealed unsafe partial class GuestFile : IDisposable
{
    private const int WriteOnly = 1;
    private const int Create = 0x40;
    private const int Mode = 0x180; // rw-------
    private const int EIntr = 4;

    private readonly int _file;

    /// <summary>Opens it, and makes it if it is missing.</summary>
    /// <param name="path">Where.</param>
    /// <param name="flags"><see cref="DataSynchronous"/>, <see cref="Synchronous"/> or 0.</param>
    public GuestFile(string path, int flags = 0)
    {
        _file = Open(path, WriteOnly | Create | flags, Mode);
        if (_file < 0) throw Failed("open");
    }

    /// <summary>O_DSYNC of x86-64 and arm64.</summary>
    public const int DataSynchronous = 0x1000;

    /// <summary>O_SYNC of x86-64 and arm64.</summary>
    public const int Synchronous = 0x101000;

    /// <summary>Writes all of it.</summary>
    public void Write(ReadOnlySpan<byte> data, long offset)
    {
        fixed (byte* start = data)
        {
            for (int done = 0; done < data.Length;)
            {
                nint written = PWrite(_file, start + done, data.Length - done, offset + done);
                if (written < 0 && Marshal.GetLastPInvokeError() != EIntr) throw Failed("pwrite");
                if (written > 0) done += (int)written;
            }
        }
    }

    /// <summary>fdatasync(2).</summary>
    public void SyncData()
    {
        if (FDataSync(_file) != 0) throw Failed("fdatasync");
    }

    /// <summary>fsync(2).</summary>
    public void SyncAll()
    {
        if (FSync(_file) != 0) throw Failed("fsync");
    }

    public void Dispose() => _ = Close(_file);

    private static BenchException Failed(string call) => new($"{call} in the guest file system: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint PWrite(int file, byte* data, nint length, long offset);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FDataSync(int file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int file);
}
