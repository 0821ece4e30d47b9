using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.BarrierFS.Kernel;

/// <summary>The running kernel. Uses nothing that Linux 3.10 lacks.</summary>
internal sealed partial class LinuxKernel : IKernel
{
    private const string ReleaseFile = "/proc/sys/kernel/osrelease";
    private const string SymbolsFile = "/proc/kallsyms";

    public bool IsLinuxX64 => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    public string Release => ReadOrEmpty(ReleaseFile).Trim();

    public bool HasSymbol(string name)
    {
        try
        {
            // "ffffffff811b2c30 T sys_fsync", for modules followed by a tab and "[module]". Addresses may be masked; names never are.
            return File.ReadLines(SymbolsFile).Any(line => line.EndsWith(name, StringComparison.Ordinal) && line[..^name.Length].EndsWith(' '));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    public SyscallResult Call(long number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth)
    {
        nint value = RawCall((nint)number, first, second, third, fourth, fifth, sixth);
        return new SyscallResult(value, value == -1 ? Marshal.GetLastPInvokeError() : 0);
    }

    public SyscallResult Call(long number, SafeFileHandle file, nint second, nint third, nint fourth, nint fifth, nint sixth)
    {
        bool held = false;
        try
        {
            file.DangerousAddRef(ref held);
            return Call(number, file.DangerousGetHandle(), second, third, fourth, fifth, sixth);
        }
        finally
        {
            if (held) file.DangerousRelease();
        }
    }

    private static string ReadOrEmpty(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    // long syscall(long number, ...): a variadic function that is given integers alone is called like any other in the x86-64 ABI.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint RawCall(nint number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth);
}
