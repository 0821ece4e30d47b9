namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A test that boots a virtual machine; skipped where QEMU, busybox or a kernel is missing.</summary>
internal sealed class VirtualMachineFactAttribute : FactAttribute
{
    public VirtualMachineFactAttribute()
    {
        if (!File.Exists("/usr/bin/qemu-system-x86_64")) Skip = "qemu-system-x86_64 is not installed";
        if (!File.Exists("/usr/bin/busybox") && !File.Exists("/bin/busybox")) Skip = "busybox is not installed";
        if (Kernel is null) Skip = "no kernel for a virtual machine: test.sh unpacks linux-image-cloud-amd64 into artifacts/kernel";
    }

    /// <summary>Installed, or unpacked by test.sh; null when there is none.</summary>
    public static string? Kernel { get; } = new[] { "/boot", Path.GetFullPath(Path.Combine(SphostProcess.Metadata("DistDir"), "../kernel/boot")) }
        .Where(Directory.Exists).SelectMany(folder => Directory.EnumerateFiles(folder, "vmlinuz-*cloud-amd64")).FirstOrDefault();
}
