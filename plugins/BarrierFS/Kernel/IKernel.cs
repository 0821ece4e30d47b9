using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.BarrierFS.Kernel;

/// <summary>What this plugin asks the kernel for, so that tests can stand in for one.</summary>
internal interface IKernel
{
    /// <summary>Linux on x86-64, in a 64-bit process.</summary>
    bool IsLinuxX64 { get; }

    /// <summary>The release as <c>uname -r</c> says it.</summary>
    string Release { get; }

    /// <summary>Whether the kernel has a function of this name (/proc/kallsyms); false when that cannot be read.</summary>
    bool HasSymbol(string name);

    /// <summary>A raw system call with all six argument registers set.</summary>
    /// <returns>The result, and errno where that is −1.</returns>
    SyscallResult Call(long number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth);

    /// <summary>The same with an open file as first argument; its descriptor cannot be closed meanwhile.</summary>
    SyscallResult Call(long number, SafeFileHandle file, nint second, nint third, nint fourth, nint fifth, nint sixth);
}

/// <summary>What a system call returned.</summary>
/// <param name="Value">Its value; −1 for an error.</param>
/// <param name="Errno">The error; 0 without.</param>
internal readonly record struct SyscallResult(nint Value, int Errno)
{
    public const int EBadF = 9;
    public const int EInval = 22;
    public const int ENoSys = 38;

    /// <summary>"0", "EBADF", "errno 5 (Input/output error)".</summary>
    public override string ToString() => Value != -1 ? Value.ToString(CultureInfo.InvariantCulture) : Errno switch
    {
        EBadF => "EBADF",
        EInval => "EINVAL",
        ENoSys => "ENOSYS",
        _ => $"errno {Errno.ToString(CultureInfo.InvariantCulture)} ({Marshal.GetPInvokeErrorMessage(Errno)})",
    };
}
