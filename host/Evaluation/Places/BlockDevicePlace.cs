using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>The disk itself, over NBD: ours by the server of this process, QEMU's by qemu-nbd, the same client for both.</summary>
internal sealed class BlockDevicePlace(EvaluationContext context, IReadOnlyList<EvaluatedContender> contenders, IReadOnlyList<EvaluationWorkload> workloads) : Place
{
    public override EvaluationPlace Kind => EvaluationPlace.BlockDevice;

    public override string Name => "block";

    public override string Description => "the disk over NBD: the server of this process beside qemu-nbd (write-back, threads), the same client for both";

    public override IReadOnlyList<EvaluationWorkload> Workloads => workloads;

    public override IReadOnlyList<EvaluatedContender> Contenders => contenders;

    public override double StepWeight => 0.6;

    public override string? Lacks(EvaluatedContender contender, DeviceRegime regime) => contender switch
    {
        EvaluatedPipeline => null,
        EvaluatedQemu => Programs.FirstMissing("qemu-nbd", "qemu-img") is { } missing ? $"{missing} is not installed" : null,
        _ => "it is no disk",
    };

    public override bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime) => contender is EvaluatedPipeline || regime == DeviceRegime.SlowFlush;

    public override string CountedBy(EvaluatedContender contender, DeviceRegime regime) => contender is EvaluatedPipeline
        ? "its own meter, in the timed rounds"
        : regime == DeviceRegime.SlowFlush ? "the raw disk of this process that QEMU stands on, over NBD, in the timed rounds" : "a pass of its own, not timed: QEMU on a raw disk of this process, over NBD, which counts";

    public override void WarmUp(IVolume volume, CancellationToken cancel) => Places.WarmUp.OnDisk((IBlockVolume)volume, cancel);

    public override IVolume SetUp(EvaluatedContender contender, VolumeRequest request)
    {
        string image = Path.Combine(request.Folder, "disk.img"), socket = Path.Combine(request.Sockets, Guid.NewGuid().ToString("N")[..8]);
        return new NbdVolume(contender switch
        {
            EvaluatedPipeline ours => OpenOurs(ours, image, socket, request),
            EvaluatedQemu qemu => OpenQemu(qemu, image, socket, request),
            _ => throw new InvalidOperationException($"{contender.Name} is no disk"),
        }, request.DiskBytes);
    }

    private LocalDisk OpenOurs(EvaluatedPipeline ours, string image, string socket, VolumeRequest request)
    {
        context.Composer.Create(ours.Pipeline, image, new CreateRequest(request.DiskBytes));
        return LocalDisk.Open(context.Composer, context.Timed(ours.Pipeline, request.Regime), image, socket, context.Logger);
    }

    private QemuDisk OpenQemu(EvaluatedQemu qemu, string image, string socket, VolumeRequest request)
    {
        if (qemu.Format == "raw") DurableFile.Create(image, request.DiskBytes, []);
        else context.Tools.Create(image, request.DiskBytes, qemu.Kind == QemuKind.LazyRefcounts);
        return QemuBeneath.OpenIfWanted(context, qemu, image, request) is { } beneath ? QemuDisk.OnExport(context.Tools, beneath, qemu.Format, socket) : QemuDisk.OnFile(context.Tools, image, qemu.Format, socket);
    }

    /// <summary>A served disk. One client stays connected for its whole life: qemu-nbd ends with its last one.</summary>
    private sealed class NbdVolume : IBlockVolume
    {
        private readonly IMeasuredDisk _disk;
        private NbdClient? _stays;
        private long _guestFlushes, _guestBytes;

        public NbdVolume(IMeasuredDisk disk, long length)
        {
            (_disk, Length) = (disk, length);
            try
            {
                _stays = disk.Connect();
            }
            catch
            {
                disk.Dispose();
                throw;
            }
        }

        public long Length { get; }

        public VolumeCounts? Counts => new VolumeCounts(Interlocked.Read(ref _guestFlushes), Interlocked.Read(ref _guestBytes), _disk.Counts);

        public NbdClient Connect() => _disk.Connect();

        public void CountGuest(long flushes, long bytes)
        {
            Interlocked.Add(ref _guestFlushes, flushes);
            Interlocked.Add(ref _guestBytes, bytes);
        }

        public void Settle() => _stays!.Flush();

        public void Close()
        {
            Leave();
            _disk.Close();
        }

        public void Dispose()
        {
            Leave();
            _disk.Dispose();
        }

        private void Leave()
        {
            _stays?.Dispose();
            _stays = null;
        }
    }
}
