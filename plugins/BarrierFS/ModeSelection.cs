using System.Globalization;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.BarrierFS.Kernel;

namespace StoragePlugins.BarrierFS;

/// <summary>What a medium gets, and why.</summary>
/// <param name="Mode">Never auto.</param>
/// <param name="IsDeviceBarrier">The medium's own barrier is used; <paramref name="Mode"/> is without meaning then.</param>
/// <param name="Reason">For the log.</param>
/// <param name="Call">With kernel mode.</param>
internal sealed record ModeChoice(BarrierMode Mode, bool IsDeviceBarrier, string Reason, BarrierCall? Call = null)
{
    public string Label => IsDeviceBarrier ? "device barrier" : ModeSelection.Label(Mode);
}

/// <summary>Picks the mode. What was asked for by name is taken or refused, never replaced.</summary>
internal static class ModeSelection
{
    public static string Label(BarrierMode mode) => mode switch
    {
        BarrierMode.Auto => "auto",
        BarrierMode.Kernel => "kernel",
        BarrierMode.Deferred => "deferred",
        _ => "write-through",
    };

    /// <exception cref="DiagnosticException">The mode that was asked for cannot be had.</exception>
    public static ModeChoice Choose(IStorageMedium medium, BarrierOptions options, IKernel kernel) => options.Mode switch
    {
        BarrierMode.Kernel => RequireKernel(medium, options, kernel),
        BarrierMode.WriteThrough => RequireWriteThrough(medium),
        BarrierMode.Deferred => new ModeChoice(BarrierMode.Deferred, false, "as configured"),
        _ => ChooseBest(medium, options, kernel),
    };

    private static ModeChoice ChooseBest(IStorageMedium medium, BarrierOptions options, IKernel kernel)
    {
        if (medium.GetCapability<IBarrierMedium>() is not null) return new ModeChoice(BarrierMode.Auto, true, "the medium orders writes itself");
        if (options.Syscall is null)
        {
            // Not even a question to the kernel: without a number the answer could change nothing.
            return WithoutKernel(medium, "no number of fdatabarrier(2) is configured");
        }

        BarrierCall? call = BarrierCall.Identify(kernel, options.Syscall.Value, out string reason);
        if (call is null) return WithoutKernel(medium, reason);
        return WhyNotOn(medium, call) is { } refusal ? WithoutKernel(medium, refusal)
            : new ModeChoice(BarrierMode.Kernel, false, Numbered(options.Syscall.Value), call);
    }

    private static ModeChoice WithoutKernel(IStorageMedium medium, string whyNoKernel)
        => WriteCacheOf(medium) == WriteCacheKind.WriteThrough
            ? new ModeChoice(BarrierMode.WriteThrough, false, $"the device says that it has no volatile cache; no kernel mode: {whyNoKernel}")
            : new ModeChoice(BarrierMode.Deferred, false, $"{Describe(WriteCacheOf(medium))}; no kernel mode: {whyNoKernel}");

    private static ModeChoice RequireKernel(IStorageMedium medium, BarrierOptions options, IKernel kernel)
    {
        if (options.Syscall is not { } number)
        {
            throw new DiagnosticException(
                "SP5033", "mode 'kernel' needs the number of fdatabarrier(2), which is never guessed", medium.Name,
                fix: $"set the option 'syscall' to the number in the running kernel ({BarrierCall.Published} in the x86-64 kernel of BarrierFS)");
        }

        BarrierCall call = BarrierCall.Identify(kernel, number, out string reason) ?? throw new DiagnosticException(
            "SP5030", "mode 'kernel' is not possible: this is not a BarrierFS kernel", medium.Name, found: reason,
            fix: "boot that kernel, or use the mode 'auto' or 'deferred'");
        if (WhyNotOn(medium, call) is { } refusal)
        {
            throw new DiagnosticException(
                "SP5031", "mode 'kernel' is not possible for this image", medium.Name, "a file on ext4 or a block device", refusal,
                "move the image to ext4, or use the mode 'auto' or 'deferred'");
        }

        return new ModeChoice(BarrierMode.Kernel, false, Numbered(number), call);
    }

    private static ModeChoice RequireWriteThrough(IStorageMedium medium) => WriteCacheOf(medium) == WriteCacheKind.WriteThrough
        ? new ModeChoice(BarrierMode.WriteThrough, false, "as configured, and the device says that it has no volatile cache")
        : throw new DiagnosticException(
            "SP5032", "mode 'write-through' is not possible for this image", medium.Name, "a device that says \"write through\" in queue/write_cache",
            Describe(WriteCacheOf(medium)), "use the mode 'auto' or 'deferred'");

    /// <summary>The last question, to the file itself: other file systems answer EINVAL.</summary>
    private static string? WhyNotOn(IStorageMedium medium, BarrierCall call)
    {
        if (medium.GetCapability<IFileMedium>()?.Handle is not SafeFileHandle file) return "the medium is no file of the system";
        SyscallResult result = call.Invoke(file);
        return result.Value == 0 ? null : $"fdatabarrier(2) of the file gives {result}";
    }

    private static WriteCacheKind WriteCacheOf(IStorageMedium medium) => medium.GetCapability<IWriteCacheMedium>()?.WriteCache ?? WriteCacheKind.Unknown;

    private static string Describe(WriteCacheKind cache) => cache switch
    {
        WriteCacheKind.Volatile => "the device has a volatile cache",
        WriteCacheKind.WriteThrough => "the device has no volatile cache",
        _ => "nothing is known of the device's cache",
    };

    private static string Numbered(int number) => string.Create(CultureInfo.InvariantCulture, $"a BarrierFS kernel, fdatabarrier(2) is system call {number}");
}
