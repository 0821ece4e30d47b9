using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;
using StoragePlugins.Host.Exports.Fuse;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A guest's file system without a guest: ext4 on a loop device on a contender's disk, which is a file by FUSE.</summary>
internal sealed class GuestFileSystemPlace(EvaluationContext context, IReadOnlyList<EvaluatedContender> contenders, IReadOnlyList<EvaluationWorkload> workloads) : Place
{
    public override EvaluationPlace Kind => EvaluationPlace.GuestFileSystem;

    public override string Name => "guest-fs";

    public override string Description => "ext4 on a loop device on the disk, which is a file by FUSE: 'sphost mount' beside 'qemu-storage-daemon --export type=fuse'";

    public override IReadOnlyList<EvaluationWorkload> Workloads => workloads;

    public override IReadOnlyList<EvaluatedContender> Contenders => contenders;

    public override string? Lacks() => WhyNotMounting() ?? (Programs.FirstMissing(LoopFileSystem.Tools) is { } missing ? $"{missing} is not installed" : null);

    /// <summary>Why this process cannot attach loop devices and mount; null when it can.</summary>
    public static string? WhyNotMounting() =>
        !Environment.IsPrivilegedProcess ? "needs root, to mount and to attach loop devices"
        : !File.Exists("/dev/fuse") ? "there is no /dev/fuse"
        : !File.Exists("/dev/loop-control") ? "there are no loop devices"
        : null;

    public override string? Lacks(EvaluatedContender contender, DeviceRegime regime) => contender switch
    {
        EvaluatedPipeline => null,
        EvaluatedQemu => Programs.FirstMissing("qemu-storage-daemon", "qemu-img") is { } missing ? $"{missing} is not installed" : null,
        EvaluatedPlainFile => regime == DeviceRegime.SlowFlush ? "nobody serves it, who could delay a flush" : null,
        _ => "it is no disk",
    };

    // In the slow regime QEMU stands on a disk of ours, which counts.
    public override bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime) => contender is not EvaluatedQemu || regime == DeviceRegime.SlowFlush;

    public override string CountedBy(EvaluatedContender contender, DeviceRegime regime) => contender switch
    {
        EvaluatedPipeline => "its own meter, in the timed rounds",
        EvaluatedPlainFile => "nobody: a guest flush is one fsync of the file",
        _ when regime == DeviceRegime.SlowFlush => "the raw disk of ours that QEMU stands on, over NBD, in the timed rounds",
        _ => "a pass of its own, not timed: QEMU on a raw disk of ours, over NBD, which counts",
    };

    public override void WarmUp(IVolume volume, CancellationToken cancel) => Places.WarmUp.InFolder(((IFolderVolume)volume).Folder, cancel);

    public override IVolume SetUp(EvaluatedContender contender, VolumeRequest request)
    {
        string image = Path.Combine(request.Folder, "disk.img");
        IDiskExport export = contender switch
        {
            EvaluatedPipeline ours => OpenOurs(ours, image, request),
            EvaluatedQemu qemu => OpenQemu(qemu, image, request),
            EvaluatedPlainFile => PlainFile.Make(image, request.NeededBytes, request.Cancel),
            _ => throw new InvalidOperationException($"{contender.Name} is no disk"),
        };
        try
        {
            string folder = Directory.CreateDirectory(Path.Combine(request.Folder, "guest")).FullName;
            return new GuestVolume(export, LoopFileSystem.Make(export.File, folder, mountOptions: null, request.Cancel));
        }
        catch
        {
            export.Dispose();
            throw;
        }
    }

    private SphostExport OpenOurs(EvaluatedPipeline ours, string image, VolumeRequest request)
    {
        context.Composer.Create(ours.Pipeline, image, new CreateRequest(request.DiskBytes));
        return SphostExport.Open(context, context.Timed(ours.Pipeline, request.Regime), image, request);
    }

    private QemuExport OpenQemu(EvaluatedQemu qemu, string image, VolumeRequest request)
    {
        if (qemu.Format == "raw") DurableFile.Create(image, request.DiskBytes, []);
        else context.Tools.Create(image, request.DiskBytes, qemu.Kind == QemuKind.LazyRefcounts);
        return QemuExport.Open(image, qemu.Format, QemuBeneath.OpenApart(context, qemu, image, request), request);
    }

    /// <summary>The mounted file system and what it stands on.</summary>
    private sealed class GuestVolume(IDiskExport export, LoopFileSystem guest) : IFolderVolume
    {
        public string Folder => guest.Folder;

        public VolumeCounts? Counts => new VolumeCounts(guest.FlushCount, guest.WrittenBytes, export.Counts);

        public void Settle() => guest.Settle();

        public void Close()
        {
            guest.Unmount();
            export.Close();
        }

        public void Dispose()
        {
            guest.Dispose();
            export.Dispose();
        }
    }
}
