using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Client;

/// <summary>Order without durability for programs that use a disk, or a file, through <c>sphost mount</c>.</summary>
/// <remarks>
/// <para>An ioctl on the file, so Linux only. It orders what has reached the file system: what waits in the kernel's page cache is written back first
/// (<see cref="Barrier"/> does), and what is in a program's own buffers has not been written yet. Through a loop device, or any other block device on the
/// file, it does not pass: that device refuses.</para>
/// <para>The specification: docs/guest-barriers.md of StoragePlugins.</para>
/// </remarks>
public static partial class DiskFileBarrier
{
    /// <summary>The ioctl's number: <c>_IOW(0xDC, 0x42, __u32)</c>.</summary>
    public const uint RequestNumber = (1U << 30) | (sizeof(uint) << 16) | (0xDC << 8) | 0x42;

    /// <summary>The argument's bit 0: the caller has seen to it that no written page waits in the kernel.</summary>
    public const uint PagesWrittenBack = 1;

    // The last is a loop device's: of a file that knows barriers it would mean a bit of the argument that is not known, and there is but one.
    private const int NotTerminal = 25, NotSupported = 95, NotImplemented = 38, InvalidArgument = 22;

    /// <summary>Orders: what was written to the file before persists before what is written after this returned. Nothing need be durable.</summary>
    /// <param name="file">The file <c>disk</c> of a mounted disk, or a file of a mounted tree.</param>
    /// <remarks>Writes the file's dirty pages back and waits for that (not for durability), then asks for the barrier. Other writers' writes that return during the call fall on either side. Thread-safe.</remarks>
    /// <exception cref="NotSupportedException">The file is not one of <c>sphost mount</c>, or its format cannot order. Use <c>fdatasync</c>.</exception>
    /// <exception cref="IOException">Order can no longer be relied on.</exception>
    public static void Barrier(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (!OperatingSystem.IsLinux()) throw new NotSupportedException("The barrier of a mounted disk is an ioctl of Linux.");
        WriteBack(file);
        unsafe
        {
            uint argument = PagesWrittenBack;
            if (IoControl(file, RequestNumber, &argument) == 0) return;
        }

        int error = Marshal.GetLastPInvokeError();
        if (error is NotTerminal or NotSupported or NotImplemented or InvalidArgument) throw new NotSupportedException($"The file takes no barriers ({Describe(error)}).");
        throw new IOException($"The barrier failed ({Describe(error)}).", error);
    }

    // FUSE writes a file's dirty pages back, and waits until the file system has them, whenever any descriptor of it is closed (fs/fuse/file.c, fuse_flush).
    // fsync(2) would make them durable as well, and sync_file_range(2) does not wait for the file system before Linux 6.16.
    private static void WriteBack(SafeFileHandle file)
    {
        int copy = Duplicate(file);
        if (copy < 0) throw Failed("duplicate the descriptor");
        if (Close(copy) != 0) throw Failed("write the pages back");
    }

    private static IOException Failed(string what)
    {
        int error = Marshal.GetLastPInvokeError();
        return new IOException($"The barrier failed: could not {what} ({Describe(error)}).", error);
    }

    private static string Describe(int error) => string.Create(CultureInfo.InvariantCulture, $"error {error}, {Marshal.GetPInvokeErrorMessage(error)}");

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static unsafe partial int IoControl(SafeFileHandle file, nuint request, uint* argument);

    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    private static partial int Duplicate(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
