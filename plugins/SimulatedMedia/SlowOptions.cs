using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.SimulatedMedia;

/// <summary>The options of the medium <c>slow</c>: what each operation costs beyond what the medium beneath takes.</summary>
public sealed class SlowOptions
{
    private const string None = "00:00:00";

    // More than a minute for one operation is a mistake in the configuration, not a device.
    private const string Most = "00:01:00";

    /// <summary>Where costs that are not given come from.</summary>
    [Description("a device whose costs apply where none are given: none, consumer-ssd, ufs or hdd")]
    public SlowPreset Preset { get; set; }

    /// <summary>Added to each flush.</summary>
    [Description("added to each flush, such as \"2ms\"")]
    [Range(typeof(TimeSpan), None, Most)]
    public TimeSpan? Flush { get; set; }

    /// <summary>Added to each barrier, where the medium beneath has barriers.</summary>
    [Description("added to each barrier, where the medium beneath has barriers")]
    [Range(typeof(TimeSpan), None, Most)]
    public TimeSpan? Barrier { get; set; }

    /// <summary>Added to each write.</summary>
    [Description("added to each write, such as \"150us\"")]
    [Range(typeof(TimeSpan), None, Most)]
    public TimeSpan? Write { get; set; }

    /// <summary>Added to a flush for each write since the last one that did not start where the write before it ended.</summary>
    [Description("added to a flush for each write since the last flush that did not start where the one before it ended")]
    [Range(typeof(TimeSpan), None, Most)]
    public TimeSpan? Seek { get; set; }

    /// <summary>What these options come to.</summary>
    internal DeviceCosts Costs()
    {
        DeviceCosts preset = DeviceCosts.Of(Preset);
        return new DeviceCosts(Flush ?? preset.Flush, Barrier ?? preset.Barrier, Write ?? preset.Write, Seek ?? preset.Seek);
    }
}

/// <summary>Devices whose costs are known. The numbers and where they come from: README.md.</summary>
public enum SlowPreset
{
    /// <summary>No costs but those given.</summary>
    None = 0,

    /// <summary>A SATA or NVMe drive without power-loss protection.</summary>
    ConsumerSsd,

    /// <summary>Flash storage of a phone.</summary>
    Ufs,

    /// <summary>A disk with 7200 revolutions a minute.</summary>
    Hdd,
}

/// <summary>Costs added to a medium's operations.</summary>
/// <param name="Flush">Of a flush.</param>
/// <param name="Barrier">Of a barrier.</param>
/// <param name="Write">Of a write.</param>
/// <param name="Seek">Of a jump, paid by the flush that follows.</param>
internal readonly record struct DeviceCosts(TimeSpan Flush, TimeSpan Barrier, TimeSpan Write, TimeSpan Seek)
{
    /// <summary>The costs of a preset.</summary>
    public static DeviceCosts Of(SlowPreset preset) => preset switch
    {
        SlowPreset.ConsumerSsd => FromMicroseconds(flush: 2000, barrier: 20, write: 20, seek: 0),
        SlowPreset.Ufs => FromMicroseconds(flush: 800, barrier: 50, write: 100, seek: 0),
        SlowPreset.Hdd => FromMicroseconds(flush: 8300, barrier: 0, write: 0, seek: 12700),
        _ => default,
    };

    private static DeviceCosts FromMicroseconds(int flush, int barrier, int write, int seek) =>
        new(TimeSpan.FromMicroseconds(flush), TimeSpan.FromMicroseconds(barrier), TimeSpan.FromMicroseconds(write), TimeSpan.FromMicroseconds(seek));
}
