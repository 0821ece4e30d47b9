namespace StoragePlugins.CrashKit.Recording;

/// <summary>What was asked of a device.</summary>
public enum TraceKind
{
    /// <summary>A write; <see cref="TraceEvent.IsForced"/> when it is durable on its own (FUA).</summary>
    Write = 0,

    /// <summary>A range made to read as zeros: a discard that zeroes, a punched hole, write-zeroes.</summary>
    Zero,

    /// <summary>The length was set: <see cref="TraceEvent.Offset"/> is the new one.</summary>
    SetLength,

    /// <summary>The volatile cache was flushed.</summary>
    Flush,

    /// <summary>The device was told to keep order.</summary>
    Barrier,

    /// <summary>A cached store to mapped memory.</summary>
    Store,

    /// <summary>A store past the cache.</summary>
    StoreNonTemporal,

    /// <summary>Cache lines begin to be written back.</summary>
    FlushLines,

    /// <summary>The storing thread's flushed lines and non-temporal stores are done.</summary>
    Fence,

    /// <summary>A range of a mapping made durable through the kernel (<c>msync(2)</c>).</summary>
    Persist,

    /// <summary>A remark: <see cref="TraceEvent.Text"/>.</summary>
    Mark,
}

/// <summary>One entry of a <see cref="Trace"/>.</summary>
/// <remarks>It was submitted at tick <see cref="Begin"/> and had returned at tick <see cref="End"/>: what was submitted and had not returned
/// when the power went is in flight.</remarks>
public sealed class TraceEvent
{
    /// <summary>The end of what never returned.</summary>
    public const long Never = long.MaxValue;

    /// <summary>Its place in the trace, from 0.</summary>
    public required int Index { get; init; }

    public required TraceKind Kind { get; init; }

    /// <summary>Which device of the machine.</summary>
    public required int Device { get; init; }

    /// <summary>The tick of its submission.</summary>
    public required long Begin { get; init; }

    /// <summary>The tick of its return; <see cref="Never"/> while it is under way.</summary>
    public long End { get; internal set; } = Never;

    /// <summary>The device reported a failure: of a flush, that what it was to make durable may be lost, whatever later flushes say.</summary>
    public bool HasFailed { get; internal set; }

    /// <summary>First byte; for <see cref="TraceKind.SetLength"/> the new length.</summary>
    public long Offset { get; init; }

    /// <summary>Bytes.</summary>
    public long Length { get; init; }

    /// <summary>The bytes of a write or store; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>Durable by itself when it returns.</summary>
    public bool IsForced { get; init; }

    /// <summary>What it holds.</summary>
    public ContentClass Content { get; init; }

    /// <summary>The thread that stored, for <see cref="TraceKind.Fence"/>: a fence is about its own thread's stores.</summary>
    public int Thread { get; init; }

    /// <summary>A remark.</summary>
    public string? Text { get; init; }

    /// <summary>True when it changes what reads show.</summary>
    public bool ChangesContent => Kind is TraceKind.Write or TraceKind.Zero or TraceKind.SetLength or TraceKind.Store or TraceKind.StoreNonTemporal;

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        TraceKind.Write => $"#{Index} write {Content} {Length} bytes at 0x{Offset:x}{(IsForced ? " (FUA)" : "")}",
        TraceKind.Zero => $"#{Index} zero {Length} bytes at 0x{Offset:x}",
        TraceKind.SetLength => $"#{Index} set length to {Offset}",
        TraceKind.Store => $"#{Index} store {Length} bytes at 0x{Offset:x}",
        TraceKind.StoreNonTemporal => $"#{Index} non-temporal store {Length} bytes at 0x{Offset:x}",
        TraceKind.FlushLines => $"#{Index} flush lines of {Length} bytes at 0x{Offset:x}",
        TraceKind.Persist => $"#{Index} msync {Length} bytes at 0x{Offset:x}",
        TraceKind.Mark => $"#{Index} mark \"{Text}\"",
        _ => $"#{Index} {Kind.ToString().ToLowerInvariant()}",
    };
}
