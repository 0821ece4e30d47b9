using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media.Mapping;

/// <summary>The system calls for mapped memory and its signal, 64-bit Linux.</summary>
internal static unsafe partial class MappingCalls
{
    public const int ProtNone = 0;
    public const int ProtRead = 1;
    public const int ProtWrite = 2;
    public const int ProtExecute = 4;

    public const int MapShared = 0x01;
    public const int MapPrivate = 0x02;
    public const int MapSharedValidate = 0x03;
    public const int MapFixed = 0x10;
    public const int MapAnonymous = 0x20;
    public const int MapNoReserve = 0x4000;

    /// <summary>A write fault returns only when the file's metadata for the page is durable: only DAX has it, and refuses it elsewhere.</summary>
    public const int MapSync = 0x80000;

    public const int MSyncWait = 4;
    public const int SigBus = 7;
    public static readonly nint Failed = -1;

    public const long RamfsMagic = 0x858458f6;
    public const long HugetlbfsMagic = 0x958458f6;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Map(nint address, nint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint MapMemory(nint address, nint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Unmap(nint address, nint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static partial int Protect(nint address, nint length, int protection);

    [LibraryImport("libc", EntryPoint = "msync", SetLastError = true)]
    public static partial int Sync(nint address, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    public static partial int SignalAction(int signal, SignalActionData* next, SignalActionData* previous);

    /// <summary>struct sigaction of the C library on x86-64 (glibc and musl alike).</summary>
    [StructLayout(LayoutKind.Explicit, Size = 152)]
    public struct SignalActionData
    {
        [FieldOffset(0)] public nint Handler;
        [FieldOffset(8)] public fixed byte Mask[128];
        [FieldOffset(136)] public int Flags;
        [FieldOffset(144)] public nint Restorer;
    }
}
