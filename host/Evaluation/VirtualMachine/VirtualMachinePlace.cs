using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>A virtual machine whose disk it is: our NBD export, or QEMU's own qcow2, under the same machine.</summary>
internal sealed class VirtualMachinePlace(EvaluationContext context, IReadOnlyList<EvaluatedContender> contenders, IReadOnlyList<EvaluationWorkload> workloads) : Place
{
    /// <summary>As on the command line.</summary>
    public const string PlaceName = "virtual-machine";

    // Half a second on a machine that has nothing else to do.
    private static readonly TimeSpan s_warmUpLimit = TimeSpan.FromMinutes(2);

    // Made by whoever is set up first; the others wait for it.
    private readonly Lazy<GuestSystem> _system = new(() => GuestSystem.Make(context.Machine, context.Scratch.Images));

    public override EvaluationPlace Kind => EvaluationPlace.VirtualMachine;

    public override string Name => PlaceName;

    public override string Description => $"ext4 in a virtual machine ({context.Machine.Accelerator ?? GuestSystem.Emulation}) whose virtio disk it is: 'sphost serve' over NBD beside QEMU's own driver";

    public override IReadOnlyList<EvaluationWorkload> Workloads => workloads;

    public override IReadOnlyList<EvaluatedContender> Contenders => contenders;

    public override string? Lacks() => GuestSystem.Lacks(context.Machine);

    public override string? Lacks(EvaluatedContender contender, DeviceRegime regime) => contender switch
    {
        EvaluatedPipeline => null,
        EvaluatedQemu => Programs.FirstMissing("qemu-img") is { } missing ? $"{missing} is not installed" : null,
        _ => "it is no disk",
    };

    // In the slow regime QEMU stands on a disk of ours, which counts.
    public override bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime) => contender is EvaluatedPipeline || regime == DeviceRegime.SlowFlush;

    public override string CountedBy(EvaluatedContender contender, DeviceRegime regime) => contender is EvaluatedPipeline
        ? "its own meter, in the timed rounds"
        : regime == DeviceRegime.SlowFlush ? "the raw disk of this process that QEMU stands on, over NBD, in the timed rounds" : "a pass of its own, not timed: QEMU on a raw disk of this process, over NBD, which counts";

    // The file stays: an append that met its clusters again would find them allocated.
    public override void WarmUp(IVolume volume, CancellationToken cancel)
    {
        const string File = GuestScript.MountPoint + "/warm-up";
        const string Dd = GuestScript.ProgramFolder + "/dd";
        ((IMachineVolume)volume).Run($"{Dd} if=/dev/zero of={File} bs=64K count=100 oflag=dsync && {Dd} if=/dev/zero of={File} bs=4K count=300 oflag=dsync conv=notrunc", s_warmUpLimit, cancel);
    }

    public override IVolume SetUp(EvaluatedContender contender, VolumeRequest request)
    {
        string image = Path.Combine(request.Folder, "disk.img");
        IGuestDisk disk = contender switch
        {
            EvaluatedPipeline ours => OpenOurs(ours, image, request),
            EvaluatedQemu qemu => OpenQemu(qemu, image, request),
            _ => throw new InvalidOperationException($"{contender.Name} is no disk"),
        };
        try
        {
            string control = Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]);
            return new MachineVolume(disk, GuestMachine.Boot(_system.Value, disk.BlockDevices, request.Folder, control, request.Cancel));
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    private ServedGuestDisk OpenOurs(EvaluatedPipeline ours, string image, VolumeRequest request)
    {
        context.Composer.Create(ours.Pipeline, image, new CreateRequest(request.DiskBytes));
        return ServedGuestDisk.Open(context, context.Timed(ours.Pipeline, request.Regime), image, request);
    }

    private QemuGuestDisk OpenQemu(EvaluatedQemu qemu, string image, VolumeRequest request)
    {
        if (qemu.Format == "raw") DurableFile.Create(image, request.DiskBytes, []);
        else context.Tools.Create(image, request.DiskBytes, qemu.Kind == QemuKind.LazyRefcounts);
        return new QemuGuestDisk(image, qemu.Format, QemuBeneath.OpenIfWanted(context, qemu, image, request));
    }
}
