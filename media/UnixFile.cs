using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>Owner, mode and identity of a file, which .NET does not tell.</summary>
/// <param name="Mode">Type and permission bits.</param>
/// <param name="UserId">Owner.</param>
/// <param name="GroupId">Group.</param>
/// <param name="Device">The device it is on.</param>
/// <param name="Inode">Its number there.</param>
/// <param name="OwnDevice">The device that it is, when it is a device node.</param>
internal readonly record struct UnixFileStatus(uint Mode, uint UserId, uint GroupId, ulong Device, ulong Inode, ulong OwnDevice)
{
    private const uint TypeMask = 0xf000;
    private const uint BlockDeviceType = 0x6000;
    private const uint CharacterDeviceType = 0x2000;

    /// <summary>A block device node.</summary>
    public bool IsBlockDevice => (Mode & TypeMask) == BlockDeviceType;

    /// <summary>A character device node.</summary>
    public bool IsCharacterDevice => (Mode & TypeMask) == CharacterDeviceType;

    /// <summary>Writable by the group.</summary>
    public bool IsGroupWritable => (Mode & 0x10) != 0;

    /// <summary>Writable by everyone.</summary>
    public bool IsWorldWritable => (Mode & 0x2) != 0;
}

/// <summary>File calls of Linux that the BCL lacks.</summary>
internal static partial class UnixFile
{
    private const int AtFdCwd = -100;
    private const uint StatxBasic = 0x7ff;
    private const int OpenDirectory = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC

    // O_WRONLY | O_CLOEXEC | O_DIRECT, which architectures number differently.
    private static readonly int s_openDirect = 1 | 0x80000 | (RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64 ? 0x10000 : 0x4000);

    /// <summary>The user whose rights this process has.</summary>
    public static uint EffectiveUserId => geteuid();

    /// <summary>Status of the file that the path leads to, through symbolic links; null when there is none or it may not be seen.</summary>
    public static UnixFileStatus? Status(string path)
        => statx(AtFdCwd, path, 0, StatxBasic, out Statx buffer) == 0
            ? new UnixFileStatus(buffer.Mode, buffer.UserId, buffer.GroupId, Device(buffer.DeviceMajor, buffer.DeviceMinor), buffer.Inode, Device(buffer.OwnMajor, buffer.OwnMinor))
            : null;

    /// <summary>Makes the names in a directory durable: a new file is not found again after a crash without it.</summary>
    /// <exception cref="StorageException">It failed; what the directory names may be lost.</exception>
    public static void FlushDirectory(string path)
    {
        int descriptor = open(path, OpenDirectory);
        if (descriptor < 0) throw Failure("open", path);
        try
        {
            if (fsync(descriptor) != 0) throw Failure("fsync", path);
        }
        finally
        {
            _ = close(descriptor);
        }
    }

    /// <summary>Opens a file for writing past the page cache (O_DIRECT, which FileOptions cannot say).</summary>
    /// <returns>An invalid handle where its file system does not do that, or the process may have no more files.</returns>
    public static SafeFileHandle OpenDirect(string path) => new(open(path, s_openDirect), ownsHandle: true);

    private static ulong Device(uint major, uint minor) => ((ulong)major << 32) | minor;

    private static StorageException Failure(string operation, string path)
        => new(StorageError.Io, operation, path, -1, 0, Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int directory, string path, int flags, uint mask, out Statx buffer);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int descriptor);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    // struct statx is the same on every architecture; 256 bytes (linux/stat.h).
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(20)] public uint UserId;
        [FieldOffset(24)] public uint GroupId;
        [FieldOffset(28)] public ushort Mode;
        [FieldOffset(32)] public ulong Inode;
        [FieldOffset(128)] public uint OwnMajor;
        [FieldOffset(132)] public uint OwnMinor;
        [FieldOffset(136)] public uint DeviceMajor;
        [FieldOffset(140)] public uint DeviceMinor;
    }
}
