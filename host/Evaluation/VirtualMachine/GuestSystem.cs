using StoragePlugins.Host.Evaluation.Children;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>What virtual machines boot; the same for all contenders.</summary>
/// <param name="Kernel">Of Debian.</param>
/// <param name="Initramfs">Made of this machine's programs.</param>
/// <param name="Accelerator"><see cref="Emulation"/> or <see cref="Kvm"/>.</param>
internal sealed record GuestSystem(GuestKernel Kernel, string Initramfs, string Accelerator)
{
    /// <summary>Software emulation: slow processors, the same everywhere.</summary>
    public const string Emulation = "tcg";

    /// <summary>The processor's own; only on request, for where a virtual machine is itself a guest it may hang.</summary>
    public const string Kvm = "kvm";

    /// <summary>Why there is none; null when there can be one.</summary>
    /// <exception cref="DiagnosticException">SP4220, SP4221: what the user asked for cannot be had.</exception>
    public static string? Lacks(VirtualMachineOptions options)
    {
        if (options.Accelerator == Kvm) RequireKvm();
        return Programs.FirstMissing([GuestMachine.Program, .. VirtualMachine.Initramfs.Required]) is { } missing ? $"{missing} is not installed"
            : GuestKernel.Find(options.Kernel) is null ? $"no kernel for it is installed ({GuestKernel.Package})" : null;
    }

    /// <summary>Makes the initramfs.</summary>
    public static GuestSystem Make(VirtualMachineOptions options, string folder)
    {
        GuestKernel kernel = GuestKernel.Find(options.Kernel)!;
        string initramfs = Path.Combine(folder, "initramfs");
        VirtualMachine.Initramfs.Write(initramfs, kernel);
        return new GuestSystem(kernel, initramfs, options.Accelerator ?? Emulation);
    }

    private static void RequireKvm()
    {
        const string Device = "/dev/kvm";
        try
        {
            File.Open(Device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite).Dispose();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP4221", "KVM cannot be used", Device, found: failure.Message.TrimEnd('.'), fix: $"leave --accel away: {Emulation} works everywhere", inner: failure);
        }
    }
}

/// <summary>What the user says of the virtual machine.</summary>
/// <param name="Kernel">A kernel; null for the newest cloud kernel that is installed.</param>
/// <param name="Accelerator"><see cref="GuestSystem.Emulation"/>, <see cref="GuestSystem.Kvm"/> or null for the first.</param>
internal sealed record VirtualMachineOptions(string? Kernel, string? Accelerator);
