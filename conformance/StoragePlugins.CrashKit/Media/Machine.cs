using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Media;

/// <summary>What a simulated device can do, beside reading and writing.</summary>
public sealed record DeviceTraits
{
    /// <summary>A disk with a volatile cache and a flush.</summary>
    public static DeviceTraits Disk { get; } = new();

    /// <summary>A disk that also orders writes itself.</summary>
    public static DeviceTraits BarrierDisk { get; } = new() { HasBarrier = true };

    /// <summary>It offers <see cref="IBarrierMedium"/>.</summary>
    public bool HasBarrier { get; init; }

    /// <summary>It is mapped memory of this domain; <see langword="null"/>: it cannot be mapped.</summary>
    public PersistenceDomain? Memory { get; init; }

    /// <summary>Its medium is mapped already: it offers <see cref="IPersistentMemory"/> itself.</summary>
    public bool IsMapped { get; init; }

    /// <summary>It offers <see cref="IPreallocatingMedium"/>.</summary>
    public bool Preallocates { get; init; } = true;

    /// <summary>It offers <see cref="IDeallocatingMedium"/>.</summary>
    public bool Deallocates { get; init; } = true;
}

/// <summary>A simulated device: a name by which strategies open it, its bytes, its traits.</summary>
public sealed record Device(string Name, DeviceImage Image, DeviceTraits Traits)
{
    /// <summary>The domain that a strategy mapped it with; <see langword="null"/> until it is mapped.</summary>
    public PersistenceDomain? MappedAs { get; internal set; }

    /// <summary>Where stores to it are durable, when it is mapped memory; <see langword="null"/> for a disk.</summary>
    internal PersistenceDomain? Domain => MappedAs ?? Traits.Memory;
}

/// <summary>
/// The devices of one simulated computer. The first one is the disk image; others appear when a strategy opens a medium of its own.
/// </summary>
/// <remarks>Thread-safe. At most <see cref="MaxDevices"/>.</remarks>
public sealed class Machine
{
    /// <summary>The name of the image: nothing on this computer is called so.</summary>
    public const string ImageName = "crash-kit:image";

    /// <summary>The most devices of a machine.</summary>
    public const int MaxDevices = 8;

    private readonly Lock _gate = new();
    private readonly List<Device> _devices = [];

    /// <summary>A machine whose image has this content.</summary>
    /// <param name="image">Copied.</param>
    /// <param name="traits">Of the image's device.</param>
    public Machine(ReadOnlySpan<byte> image, DeviceTraits? traits = null) => _devices.Add(new Device(ImageName, new DeviceImage(image), traits ?? DeviceTraits.Disk));

    private Machine(IEnumerable<Device> devices) => _devices.AddRange(devices);

    /// <summary>A machine of these devices, the image first.</summary>
    internal static Machine Of(IEnumerable<Device> devices, DeviceTraits furtherTraits) => new(devices) { FurtherTraits = furtherTraits };

    /// <summary>The traits of devices that strategies make for themselves.</summary>
    public DeviceTraits FurtherTraits { get; init; } = DeviceTraits.Disk;

    /// <summary>The devices; the image first.</summary>
    public IReadOnlyList<Device> Devices
    {
        get
        {
            lock (_gate) return [.. _devices];
        }
    }

    /// <summary>A machine with copies of all devices.</summary>
    public Machine Copy()
    {
        lock (_gate)
        {
            return new Machine(_devices.Select(device => device with { Image = new DeviceImage(device.Image.ToArray(), device.Traits.Memory is null ? 512 : 64) }))
            {
                FurtherTraits = FurtherTraits,
            };
        }
    }

    /// <summary>Opens the image's medium.</summary>
    /// <param name="trace">Records into it; <see langword="null"/> to record nothing.</param>
    /// <param name="faults">What goes wrong; <see langword="null"/> for nothing.</param>
    /// <param name="isReadOnly">Refuses writes.</param>
    public SimulatedMedium OpenImage(Trace? trace = null, MediumFaults? faults = null, bool isReadOnly = false) => new(_devices[0], 0, trace, faults, isReadOnly);

    /// <summary>Opens, or makes, a device by name: what <see cref="StrategyContext.OpenMedium"/> is to call.</summary>
    public SimulatedMedium Open(MediumRequest request, Trace? trace = null, MediumFaults? faults = null)
    {
        lock (_gate)
        {
            int index = _devices.FindIndex(device => device.Name == request.Location);
            // A file that was removed and one that has just been made and is still empty look alike after a power cut.
            if ((index < 0 || (index > 0 && _devices[index].Image.Length == 0)) && (!request.Create || request.ReadOnly)) throw Missing(request.Location);
            if (index < 0)
            {
                if (_devices.Count == MaxDevices) throw new DiagnosticException("SP5001", $"a simulated machine has at most {MaxDevices} devices", request.Location);
                index = _devices.Count;
                _devices.Add(new Device(request.Location, new DeviceImage([], FurtherTraits.Memory is null ? 512 : 64), FurtherTraits));
            }

            var medium = new SimulatedMedium(_devices[index], index, trace, faults, request.ReadOnly);
            if (request.Truncate && !request.ReadOnly) medium.SetLength(0);
            return medium;
        }
    }

    /// <summary>Adds, empty, the devices that a later state of this machine has and this one has not: a trace of theirs begins with nothing.</summary>
    internal void AddDevicesOf(Machine later)
    {
        foreach (Device device in later.Devices.Skip(Devices.Count))
            _devices.Add(device with { Image = new DeviceImage([], device.Traits.Memory is null ? 512 : 64) });
    }

    private static DiagnosticException Missing(string name) => new(
        "SP5001", "no such device", name, fix: "the crash kit knows only the devices that a strategy itself made", inner: new FileNotFoundException(null, name));

    internal void BeginTrial()
    {
        foreach (Device device in Devices) device.Image.BeginTrial();
    }

    /// <summary>Undoes a trial. Devices that the trial made are gone.</summary>
    internal void Rollback(int devicesBefore)
    {
        lock (_gate)
        {
            _devices.RemoveRange(devicesBefore, _devices.Count - devicesBefore);
            foreach (Device device in _devices) device.Image.Rollback();
        }
    }
}
