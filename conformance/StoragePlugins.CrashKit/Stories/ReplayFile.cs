using System.Text.Json;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// Everything that repeats a failure without luck, in a file: of a state the devices before the workload, the recorded requests, what the guest was told and what
/// the power cut chose; of a failure without a power cut the workload. The strategies are not in it: who replays it builds them.
/// </summary>
/// <remarks>Made by <see cref="Of"/> or <see cref="Load"/>; used by <see cref="Replay"/>. Immutable.</remarks>
public sealed class ReplayFile
{
    /// <summary>The largest file that is read: several times what a long workload takes.</summary>
    public const long MaxFileBytes = 256L << 20;

    private ReplayFile(ReplayDocument document, SavedScene? scene) => (Document, Scene) = (document, scene);

    /// <summary>The pipeline's name.</summary>
    public string Pipeline => Document.Pipeline;

    /// <summary>Which options were varied, as <see cref="Subjects.TestedPipeline.Variant"/> said it.</summary>
    public string Variant => Document.Variant;

    /// <summary>What the caller gave to <see cref="Of"/>, to build the pipeline from.</summary>
    public string Configuration => Document.Configuration;

    /// <summary>What a power cut may leave.</summary>
    public PersistenceModel Model => Document.Model;

    /// <summary>What broke.</summary>
    public Invariant Invariant => Document.Invariant;

    /// <summary>How it was seen.</summary>
    public string Message => Document.Message;

    /// <summary>The run's seed.</summary>
    public int Seed => Document.Seed;

    /// <summary>The workload's number in the run.</summary>
    public long WorkloadIndex => Document.WorkloadIndex;

    internal ReplayDocument Document { get; }

    /// <summary>What a state needs; null for a failure without a power cut.</summary>
    internal SavedScene? Scene { get; }

    /// <summary>A file of a failure; best of a shrunk one.</summary>
    /// <param name="failure">The failure.</param>
    /// <param name="configuration">Kept for whoever replays it; says how to build the pipeline.</param>
    public static ReplayFile Of(CrashFailure failure, string configuration = "")
    {
        ArgumentNullException.ThrowIfNull(failure);
        SavedScene? scene = failure is { Run: { } run, State: { } state } ? SavedScene.Of(failure, run, state) : null;
        return new ReplayFile(
            new ReplayDocument
            {
                Format = ReplayDocument.Mark,
                Version = ReplayDocument.PresentVersion,
                Pipeline = failure.Pipeline.Name,
                Variant = failure.Pipeline.Variant,
                Configuration = configuration,
                Model = failure.Settings.Model,
                AtomBytes = failure.Settings.AtomBytes,
                Domain = failure.Run?.Start.FurtherTraits.Memory ?? PersistenceDomain.Adr,
                Invariant = failure.Invariant,
                Message = failure.Message,
                Tier = failure.Tier,
                Seed = failure.Seed,
                WorkloadIndex = failure.WorkloadIndex,
                Workload = SavedWorkload.Of(failure.Workload),
                IsHang = failure.Hang is not null,
                Damage = failure.Fault is { } fault ? SavedDamage.Of(fault.Damage) : null,
            },
            scene);
    }

    /// <summary>Writes the file, over one of the same name.</summary>
    /// <exception cref="DiagnosticException">SP6034: it cannot be written.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string unfinished = path + ".part";
        try
        {
            using (FileStream file = File.Create(unfinished)) JsonSerializer.Serialize(file, Document with { State = Scene?.Save() }, ReplayDocument.Json);
            File.Move(unfinished, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP6034", "the replay file cannot be written", path, found: e.Message, fix: "name a file in a folder that you may write to", inner: e);
        }
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="DiagnosticException">SP6030 to SP6032: it cannot be read, is another kind of file, of another version, or damaged.</exception>
    public static ReplayFile Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        byte[] bytes = Read(path);
        try
        {
            ReplayDocument document = JsonSerializer.Deserialize<ReplayDocument>(bytes, ReplayDocument.Json) ?? throw Foreign(path);
            if (document.Format != ReplayDocument.Mark) throw Foreign(path);
            if (document.Version != ReplayDocument.PresentVersion)
                throw new DiagnosticException("SP6031", "the replay file is of another version", path, $"{ReplayDocument.PresentVersion}", $"{document.Version}", "replay it with the version of sphost that made it, or run the workload again with its seed");
            ThrowIfSenseless(document);
            return new ReplayFile(document with { State = null }, document.State is null ? null : SavedScene.Restore(document.State));
        }
        catch (Exception e) when (e is JsonException or InvalidDataException or EndOfStreamException or ArgumentException or OverflowException)
        {
            // A newer version may hold what this one cannot read; what begins otherwise was never one of ours.
            if (!HasMark(bytes)) throw Foreign(path, e);
            throw new DiagnosticException("SP6032", "the replay file is damaged", path, found: e.Message, fix: "copy it again, or run the workload again with its seed", inner: e);
        }
    }

    /// <summary>Writes a device's requests as a dm-log-writes log, for other programs.</summary>
    /// <param name="device">0 for the image.</param>
    /// <param name="log">Writable and seekable, empty. Stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <returns>False when there are none: the failure needed no power cut.</returns>
    /// <exception cref="DiagnosticException">SP6024: the trace has stores to mapped memory.</exception>
    public bool WriteLog(int device, Stream log, string name)
    {
        if (Scene is null) return false;
        TraceExport.Write(Scene.Trace, device, Scene.Start.Devices[device].Image.ToArray(), log, name);
        return true;
    }

    private static byte[] Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            if (file.Length > MaxFileBytes) throw new DiagnosticException("SP6030", "the replay file is too large", path, $"at most {MaxFileBytes >> 20} MiB", $"{file.Length >> 20} MiB", "name a file that crash-test made");
            byte[] bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP6030", "the replay file cannot be read", path, found: e.Message, fix: "name a file that crash-test made", inner: e);
        }
    }

    private static void ThrowIfSenseless(ReplayDocument document)
    {
        bool isSensible = Enum.IsDefined(document.Invariant) && document.AtomBytes is 512 or 4096 && document.Workload.DiskBytes is >= 0 and <= Media.DeviceImage.MaxLength
            && document.Workload.Steps.All(step => step is not null && step.All(operation => operation is { Offset: >= 0, Length: >= 0, Name: not null }));
        if (!isSensible) throw new InvalidDataException("the workload makes no sense");
        if (document.Damage is not { } damage) return;
        isSensible = document.State is { } state && damage.Device >= 0 && damage.Device < state.Devices.Length && damage.Unreadable is null or { Offset: >= 0, Length: > 0 }
            && damage.Patches.All(patch => patch.Offset >= 0 && patch.Offset + patch.Bytes.Length <= Media.DeviceImage.MaxLength);
        if (!isSensible) throw new InvalidDataException("the damage makes no sense");
    }

    private static bool HasMark(byte[] bytes) => bytes.AsSpan(0, Math.Min(bytes.Length, 200)).IndexOf(System.Text.Encoding.UTF8.GetBytes(ReplayDocument.Mark)) >= 0;

    private static DiagnosticException Foreign(string path, Exception? inner = null) => new(
        "SP6031", "this is no replay file", path, $"JSON with \"format\": \"{ReplayDocument.Mark}\"", "something else", "name a file that crash-test made", inner);
}

/// <summary>A state and how it came to be, in memory.</summary>
/// <param name="Start">The machine before the workload.</param>
/// <param name="Trace">What was asked of the devices.</param>
/// <param name="History">What the guest was told.</param>
/// <param name="Cut">What the power cut chose.</param>
/// <param name="Second">The second power cut; null for none.</param>
internal sealed record SavedScene(Media.Machine Start, Recording.Trace Trace, GuestHistory History, SavedCut Cut, RememberedCut? Second)
{
    public static SavedScene Of(CrashFailure failure, WorkloadRun run, BrokenState state)
    {
        var cursor = new TraceCursor(run.Start, run.Trace, failure.Settings.Model, failure.Settings.AtomBytes);
        cursor.MoveTo(state.Tick);
        return new SavedScene(run.Start, run.Trace, run.History, SavedCut.Of(cursor.Here(), state.Choice), RememberedCut.Of(state.Second, failure.Settings));
    }

    public SavedState Save()
    {
        var bytes = new MemoryStream();
        foreach (Media.Device device in Start.Devices) bytes.Write(device.Image.ToArray());
        SavedEvent[] events = [.. Trace.Events.Select(SavedEvent.Of)];
        foreach (Recording.TraceEvent entry in Trace.Events) bytes.Write(entry.Data.Span);
        SavedHistory history = History.Save(bytes);
        return new SavedState(
            Start.FurtherTraits, [.. Start.Devices.Select(device => new SavedDevice(device.Name, device.Traits, device.MappedAs, (int)device.Image.Length))],
            Trace.Now, events, history, Cut, SavedBytes.Of(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)),
            Second?.Tier ?? Tier.Prefix, Second?.State, Second?.Continuation is { } continuation ? SavedWorkload.Of(continuation) : null);
    }

    /// <exception cref="InvalidDataException">It makes no sense.</exception>
    /// <exception cref="EndOfStreamException">Its bytes are too short.</exception>
    public static SavedScene Restore(SavedState saved)
    {
        using MemoryStream bytes = saved.Bytes.Unpack();
        if (saved.Devices.Length is 0 or > Media.Machine.MaxDevices || saved.Devices.Any(device => device.Length is < 0 or > (int)Media.DeviceImage.MaxLength)) throw new InvalidDataException("the devices make no sense");
        var devices = new List<Media.Device>();
        foreach (SavedDevice device in saved.Devices)
        {
            var image = new Media.DeviceImage(Take(bytes, device.Length), device.Traits.Memory is null ? 512 : 64);
            devices.Add(new Media.Device(device.Name, image, device.Traits) { MappedAs = device.MappedAs });
        }

        var events = new List<Recording.TraceEvent>();
        foreach (SavedEvent entry in saved.Events)
        {
            bool isSensible = entry is { Begin: >= 0, Offset: >= 0, Length: >= 0 } && entry.Device >= 0 && entry.Device < devices.Count && entry.Begin <= saved.Now && (entry.End < 0 || entry.End >= entry.Begin)
                && entry.Offset <= Media.DeviceImage.MaxLength && entry.Length <= Media.DeviceImage.MaxLength;
            if (!isSensible) throw new InvalidDataException($"request #{events.Count} makes no sense");
            events.Add(entry.ToEvent(events.Count, entry.HasData ? Take(bytes, (int)entry.Length) : default));
        }

        RememberedCut? second = saved.SecondTier == Tier.Prefix ? null : new RememberedCut(saved.SecondTier, saved.Second, saved.Continuation?.ToWorkload());
        return new SavedScene(Media.Machine.Of(devices, saved.FurtherTraits), new Recording.Trace(events, saved.Now), GuestHistory.Restore(saved.History, bytes), saved.Cut, second);
    }

    // Never more than is there.
    private static byte[] Take(MemoryStream bytes, int length)
    {
        if (length > bytes.Length - bytes.Position) throw new EndOfStreamException("its bytes end early");
        byte[] taken = new byte[length];
        bytes.ReadExactly(taken);
        return taken;
    }
}
