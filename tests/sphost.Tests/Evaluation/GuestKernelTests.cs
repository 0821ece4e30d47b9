using System.Text;
using StoragePlugins.Host.Evaluation.VirtualMachine;

namespace StoragePlugins.Host.Tests.Evaluation;

/// <summary>Kernels for the virtual machine: found, refused, and their modules in an order in which they can be loaded.</summary>
public sealed class GuestKernelTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-kernel-");

    private string Image => Path.Combine(_folder.FullName, "boot", "vmlinuz-6.6.6-test");

    [Fact]
    public void Modules_come_behind_what_they_depend_on_and_each_once()
    {
        WriteKernel();
        WriteModule("virtio_blk", "virtio-ring,virtio");
        WriteModule("virtio_pci", "virtio_ring,virtio");
        WriteModule("virtio-ring", "virtio");
        WriteModule("virtio", "");
        WriteModule("unrelated", "virtio");
        GuestKernel kernel = GuestKernel.Find(Image)!;
        Assert.Equal("6.6.6-test", kernel.Release);
        Assert.Equal(["virtio.ko", "virtio-ring.ko", "virtio_pci.ko", "virtio_blk.ko"], kernel.Modules.Select(Path.GetFileName));
    }

    [Fact]
    public void A_kernel_without_its_modules_is_refused()
    {
        WriteKernel();
        Assert.Equal("SP4220", Assert.Throws<DiagnosticException>(() => GuestKernel.Find(Image)).Code);
    }

    [Fact]
    public void A_kernel_whose_name_has_no_release_is_refused()
    {
        string image = Path.Combine(_folder.FullName, "bzImage");
        File.WriteAllText(image, "");
        Assert.Equal("SP4220", Assert.Throws<DiagnosticException>(() => GuestKernel.Find(image)).Code);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private void WriteKernel()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Image)!);
        File.WriteAllText(Image, "");
    }

    // As modinfo(8) finds it: strings between zeros.
    private void WriteModule(string name, string depends)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder.FullName, "lib/modules/6.6.6-test/kernel/drivers")).FullName;
        File.WriteAllBytes(Path.Combine(folder, name + ".ko"), Encoding.ASCII.GetBytes($"\u007fELF\0license=GPL\0depends={depends}\0retpoline=Y\0"));
    }
}
