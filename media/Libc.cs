using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>
/// The system calls that the base class library lacks. Plain imports with errno; none of them suppresses the GC transition, since
/// each can block. <see cref="SafeFileHandle"/> keeps a descriptor from being closed, and its number reused, under a running call.
/// </summary>
internal static unsafe partial class Libc
{
    public const int SeekData = 3;
    public const int SeekHole = 4;
    public const int SeekEnd = 2;

    public const int FallocKeepSize = 0x01;
    public const int FallocPunchHole = 0x02;
    public const int FallocZeroRange = 0x10;

    /// <summary>Linux 6.17: allocates written extents that read as zeros, by the device where it can.</summary>
    public const int FallocWriteZeroes = 0x80;

    /// <summary>sync_file_range: start writing back, wait for nothing.</summary>
    public const uint StartWritingRange = 2;

    /// <summary>preadv2: fail with EAGAIN rather than wait.</summary>
    public const int RwfNoWait = 0x08;

    public const int ProcessGetLock = 5;
    public const int ProcessSetLock = 6;
    public const int OfdGetLock = 36;
    public const int OfdSetLock = 37;
    public const short ReadLock = 0;
    public const short WriteLock = 1;
    public const short NoLock = 2;

    public const int EIntr = 4;
    public const int EIo = 5;
    public const int EAgain = 11;
    public const int EInval = 22;
    public const int ENoSpace = 28;
    public const int EDquot = 122;
    public const int EFBig = 27;
    public const int ENxio = 6;

    /// <summary>statfs(2): a file system that lives in memory.</summary>
    public const long TmpfsMagic = 0x01021994;

    /// <summary>statfs(2): file systems that overwrite in place what they do not share. Others find room for each write anew.</summary>
    public const long ExtMagic = 0xEF53, XfsMagic = 0x58465342;

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int FDataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int FSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    public static partial int FAllocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    public static partial int SyncFileRange(SafeFileHandle file, long offset, long length, uint flags);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long LSeek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "preadv2", SetLastError = true)]
    public static partial nint PReadV2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int FCntl(SafeFileHandle file, int command, FileLock* argument);

    [LibraryImport("libc", EntryPoint = "fstatfs", SetLastError = true)]
    public static partial int FStatFs(SafeFileHandle file, StatFsBuffer* buffer);

    /// <summary>The last error of this thread in words.</summary>
    public static string ErrorText(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    /// <summary>What a client is told for an errno.</summary>
    public static StorageError ToStorageError(int errno) => errno is ENoSpace or EDquot or EFBig ? StorageError.NoSpace : StorageError.Io;

    [StructLayout(LayoutKind.Sequential)]
    public struct IoVector
    {
        public void* Base;
        public nint Length;
    }

    /// <summary>struct flock of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct FileLock
    {
        public short Type;
        public short Whence;
        public long Start;
        public long Length;
        public int ProcessId;
    }

    /// <summary>struct statfs of 64-bit Linux, as far as it is used.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 120)]
    public struct StatFsBuffer
    {
        [FieldOffset(0)] public long Type;
        [FieldOffset(8)] public long BlockBytes;

        /// <summary>Blocks free to ordinary users.</summary>
        [FieldOffset(32)] public long AvailableBlocks;
    }
}
