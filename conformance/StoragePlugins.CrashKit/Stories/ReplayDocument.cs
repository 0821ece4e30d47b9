using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Serialization;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>A replay file as it is written. Numbers are bytes and ticks; names are those of the kit's own types.</summary>
internal sealed record ReplayDocument
{
    /// <summary>Tells the file from others.</summary>
    public const string Mark = "StoragePlugins crash replay";

    /// <summary>Raised when what is written changes.</summary>
    public const int PresentVersion = 3;

    public static JsonSerializerOptions Json { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    public string Format { get; init; } = "";

    public int Version { get; init; }

    public string Pipeline { get; init; } = "";

    public string Variant { get; init; } = "";

    public string Configuration { get; init; } = "";

    public PersistenceModel Model { get; init; }

    public int AtomBytes { get; init; } = 512;

    public PersistenceDomain Domain { get; init; }

    public Invariant Invariant { get; init; }

    public string Message { get; init; } = "";

    public Tier Tier { get; init; }

    public int Seed { get; init; }

    public long WorkloadIndex { get; init; }

    public SavedWorkload Workload { get; init; } = new(0, [], null, 0, "");

    /// <summary>It did not end; there is no state.</summary>
    public bool IsHang { get; init; }

    /// <summary>Null when no power cut was needed: then the workload is run anew.</summary>
    public SavedState? State { get; init; }

    /// <summary>What became of the state's devices before they were opened; null when they did what they promise.</summary>
    public SavedDamage? Damage { get; init; }
}

internal sealed record SavedDamage(FaultKind Kind, int Device, SavedPatch[] Patches, SavedRange? Unreadable, bool IsProtected, string Text)
{
    public static SavedDamage Of(Damage damage) => new(
        damage.Kind, damage.Device, [.. damage.Patches.Select(patch => new SavedPatch(patch.Offset, patch.Bytes))], damage.Unreadable is { } range ? new SavedRange(range.Offset, range.Length) : null, damage.IsProtected, damage.Text);

    /// <summary>Damage as it was found; a range that cannot be read is whole again each time.</summary>
    public Damage ToDamage() => new(Kind, Device, [.. Patches.Select(patch => (patch.Offset, patch.Bytes))], Text)
    {
        Unreadable = Unreadable is { } range ? new UnreadableRange(Device, range.Offset, range.Length) : null, IsProtected = IsProtected,
    };
}

internal sealed record SavedPatch(long Offset, byte[] Bytes);

internal sealed record SavedRange(long Offset, int Length);

internal sealed record SavedWorkload(long DiskBytes, GuestOperation[][] Steps, DeviceFault? Fault, int QuietSteps, string Origin)
{
    public static SavedWorkload Of(Workload workload) => new(workload.DiskBytes, [.. workload.Steps.Select(step => step.ToArray())], workload.Fault, workload.QuietSteps, workload.Origin);

    public Workload ToWorkload() => new(DiskBytes, [.. Steps.Select(step => (IReadOnlyList<GuestOperation>)step)]) { Fault = Fault, QuietSteps = QuietSteps, Origin = Origin };
}

/// <summary>What there was, what happened, and what the power cut left.</summary>
internal sealed record SavedState(
    DeviceTraits FurtherTraits, SavedDevice[] Devices, long Now, SavedEvent[] Events, SavedHistory History, SavedCut Cut, SavedBytes Bytes, Tier SecondTier, SavedCut? Second, SavedWorkload? Continuation);

internal sealed record SavedDevice(string Name, DeviceTraits Traits, PersistenceDomain? MappedAs, int Length);

/// <summary>An entry of the trace; an end of −1 for never.</summary>
internal sealed record SavedEvent(TraceKind Kind, int Device, long Begin, long End, long Offset, long Length, ContentClass Content, bool IsForced, bool HasFailed, int Thread, string? Text)
{
    public static SavedEvent Of(TraceEvent entry) => new(
        entry.Kind, entry.Device, entry.Begin, entry.End == TraceEvent.Never ? -1 : entry.End, entry.Offset, entry.Length, entry.Content, entry.IsForced, entry.HasFailed, entry.Thread, entry.Text);

    [JsonIgnore]
    public bool HasData => Kind is TraceKind.Write or TraceKind.Store or TraceKind.StoreNonTemporal;

    public TraceEvent ToEvent(int index, ReadOnlyMemory<byte> data) => new()
    {
        Index = index, Kind = Kind, Device = Device, Begin = Begin, End = End < 0 ? TraceEvent.Never : End, Offset = Offset, Length = Length, Data = data,
        Content = Content, IsForced = IsForced, HasFailed = HasFailed, Thread = Thread, Text = Text,
    };
}

/// <summary>Bytes: zlib's deflate with its checksum, in base64.</summary>
internal sealed record SavedBytes(long Length, string Zlib)
{
    // What an array holds; a machine's devices, a trace and a history seldom have a hundredth of it.
    private static readonly long s_mostBytes = Array.MaxLength;

    public static SavedBytes Of(ReadOnlySpan<byte> bytes)
    {
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Optimal, leaveOpen: true)) zlib.Write(bytes);
        return new SavedBytes(bytes.Length, Convert.ToBase64String(packed.GetBuffer(), 0, (int)packed.Length));
    }

    /// <exception cref="InvalidDataException">They are damaged.</exception>
    public MemoryStream Unpack()
    {
        if (Length < 0 || Length > s_mostBytes) throw new InvalidDataException("the number of bytes makes no sense");
        try
        {
            using var zlib = new ZLibStream(new MemoryStream(Convert.FromBase64String(Zlib)), CompressionMode.Decompress);
            var bytes = new MemoryStream();
            byte[] part = new byte[64 << 10];
            // Grows with what is there, not with what is promised.
            for (int read; (read = zlib.Read(part)) > 0;)
            {
                bytes.Write(part, 0, read);
                if (bytes.Length > Length) throw new InvalidDataException("there are more bytes than said");
            }

            if (bytes.Length != Length) throw new InvalidDataException("there are fewer bytes than said");
            bytes.Position = 0;
            return bytes;
        }
        catch (FormatException e)
        {
            throw new InvalidDataException("the bytes are not base64", e);
        }
    }
}
