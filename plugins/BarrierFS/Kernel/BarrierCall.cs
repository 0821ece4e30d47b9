using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.BarrierFS.Kernel;

/// <summary>
/// <c>fdatabarrier(2)</c> of a kernel that was positively identified. There is no other way to an object of this class than
/// <see cref="Identify"/>, and so none to the call.
/// </summary>
/// <remarks>
/// On mainline x86-64 the numbers 314 and 315 are sched_setattr and sched_getattr. So the questions that cannot do harm come first, and
/// the number is called, on no file, only when they are answered: architecture, release 3.10.x, <c>sys_fdatabarrier</c> in
/// /proc/kallsyms, EBADF for descriptor −1. Linux 3.10 itself ends at 313, so that above it a number is either the patch's or ENOSYS.
/// </remarks>
internal sealed class BarrierCall
{
    /// <summary>The first number that mainline 3.10 does not assign: a configured fsync or write would pass the probe too.</summary>
    public const int FirstUnassigned = 314;

    /// <summary>Above every number that a BarrierFS kernel was seen with (Mobibench: 549).</summary>
    public const int LastAccepted = 1023;

    /// <summary>The number in the published x86-64 kernel; told to people, never assumed.</summary>
    public const int Published = 315;

    // A debug call of that kernel, renameat2 of mainline.
    private const int DebugCall = 316;

    // The x32 ABI's own entries, readv and the like.
    private const int FirstX32 = 512;
    private const int LastX32 = 547;

    private const string ReleasePrefix = "3.10.";
    private const string Symbol = "sys_fdatabarrier";

    private readonly IKernel _kernel;
    private readonly long _number;

    private BarrierCall(IKernel kernel, long number)
    {
        _kernel = kernel;
        _number = number;
    }

    /// <summary>Why a number is never called; null when it may be.</summary>
    public static string? WhyNever(int number) => number switch
    {
        DebugCall => "a debug call of the BarrierFS kernel, renameat2 elsewhere",
        < FirstUnassigned => $"Linux {ReleasePrefix}x assigns it to another call",
        >= FirstX32 and <= LastX32 => "it belongs to the x32 ABI",
        > LastAccepted => "no BarrierFS kernel has it",
        _ => null,
    };

    /// <summary>Whether this is a BarrierFS kernel, by asking nothing but what it says of itself.</summary>
    /// <returns>Null when it looks like one; else what is missing.</returns>
    public static string? WhyNotBarrierFS(IKernel kernel)
    {
        if (!kernel.IsLinuxX64) return "not Linux on x86-64";
        string release = kernel.Release;
        if (!release.StartsWith(ReleasePrefix, StringComparison.Ordinal)) return $"the kernel's release is {(release.Length > 0 ? release : "unknown")}, not {ReleasePrefix}x";
        return kernel.HasSymbol(Symbol) ? null : $"the kernel has no {Symbol} in /proc/kallsyms";
    }

    /// <summary>Identifies the kernel, then tries the number on no file: a barrier there is EBADF, anything else is another call.</summary>
    /// <param name="kernel">The running kernel.</param>
    /// <param name="number">From the configuration.</param>
    /// <param name="reason">Why not, when the answer is null.</param>
    public static BarrierCall? Identify(IKernel kernel, int number, out string reason)
    {
        reason = WhyNever(number) ?? WhyNotBarrierFS(kernel) ?? "";
        if (reason.Length > 0) return null;
        SyscallResult probe = kernel.Call(number, -1, 0, 0, 0, 0, 0);
        if (probe is { Value: -1, Errno: SyscallResult.EBadF }) return new BarrierCall(kernel, number);
        reason = string.Create(CultureInfo.InvariantCulture, $"system call {number} on descriptor -1 gives {probe}, a barrier gives EBADF");
        return null;
    }

    /// <summary>Orders the file's completed writes before its later ones; nothing becomes durable.</summary>
    /// <returns>0; anything else is a failure. Even 0 does not prove that the writes succeeded: that kernel overwrites their error, and
    /// only the closing fdatasync reports it.</returns>
    public SyscallResult Invoke(SafeFileHandle file) => _kernel.Call(_number, file, 0, 0, 0, 0, 0);

    /// <summary>A failed call as an exception.</summary>
    public static StorageException Failure(SyscallResult result, string target) => new(
        StorageError.Io, "fdatabarrier", target, -1, 0, result.Value == -1 ? Marshal.GetPInvokeErrorMessage(result.Errno) : $"it returned {result}");
}
