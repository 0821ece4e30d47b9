using StoragePlugins.CrashKit.Faults;

namespace StoragePlugins.CrashKit.Workloads;

/// <summary>What a guest, or its operator, does.</summary>
public enum GuestAction
{
    Write = 0,

    /// <summary>A write with FUA.</summary>
    ForcedWrite,

    Discard,

    /// <summary>Zeroes that may give space back.</summary>
    ZeroAndUnmap,

    /// <summary>Zeroes that keep the space.</summary>
    Zero,

    Flush,

    /// <summary>Order without durability; nothing where the disk does not offer it.</summary>
    Barrier,

    CreateSnapshot,

    ApplySnapshot,

    DeleteSnapshot,

    Resize,

    /// <summary>A clean close, and open again.</summary>
    Reopen,

    /// <summary>The process dies, its writes stay in the devices' caches; and the image is opened again.</summary>
    Abandon,
}

/// <summary>One operation.</summary>
/// <param name="Action">What.</param>
/// <param name="Offset">First byte; for <see cref="GuestAction.Resize"/> the new length.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Name">Of a snapshot.</param>
public sealed record GuestOperation(GuestAction Action, long Offset = 0, long Length = 0, string Name = "")
{
    /// <summary>Changes bytes of the disk in a range.</summary>
    public bool ChangesRange => Action is GuestAction.Write or GuestAction.ForcedWrite or GuestAction.Discard or GuestAction.ZeroAndUnmap or GuestAction.Zero;

    /// <inheritdoc/>
    public override string ToString() => Action switch
    {
        GuestAction.Write => $"write {Length} bytes at {Offset}",
        GuestAction.ForcedWrite => $"write with FUA {Length} bytes at {Offset}",
        GuestAction.Discard => $"discard {Length} bytes at {Offset}",
        GuestAction.ZeroAndUnmap => $"zero (unmap) {Length} bytes at {Offset}",
        GuestAction.Zero => $"zero {Length} bytes at {Offset}",
        GuestAction.CreateSnapshot => $"create snapshot '{Name}'",
        GuestAction.ApplySnapshot => $"apply snapshot '{Name}'",
        GuestAction.DeleteSnapshot => $"delete snapshot '{Name}'",
        GuestAction.Resize => $"resize to {Offset}",
        GuestAction.Reopen => "close and open again",
        GuestAction.Abandon => "the process is killed; open again",
        _ => Action.ToString().ToLowerInvariant(),
    };
}

/// <summary>A guest's work on a new disk: steps of one operation, or of several at once on disjoint sectors.</summary>
/// <param name="DiskBytes">Virtual size.</param>
/// <param name="Steps">In order.</param>
public sealed record Workload(long DiskBytes, IReadOnlyList<IReadOnlyList<GuestOperation>> Steps)
{
    /// <summary>An error of a device on the way; null for none.</summary>
    public DeviceFault? Fault { get; init; }

    /// <summary>So many steps at the start only prepare: no power cut is tried in them.</summary>
    public int QuietSteps { get; init; }

    /// <summary>How it came about, for the reader of a story.</summary>
    public string Origin { get; init; } = "";
}
