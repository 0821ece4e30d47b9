using System.Diagnostics.Metrics;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Telemetry;

/// <summary>
/// The instruments of the disks that are served: whoever listens to the meter <see cref="MeterName"/> (OTLP, dotnet-counters) reads counters that are kept
/// anyway. docs/monitoring.md has them in a table.
/// </summary>
/// <remarks>
/// <para>Nothing happens on the data path, listened to or not: all instruments are observed but the histogram of durations, and that is filled when the
/// others are observed (<see cref="DurationReplay"/>).</para>
/// <para>Thread-safe. Disposing it ends the instruments.</para>
/// </remarks>
internal sealed class DiskInstruments : IDisposable
{
    /// <summary>What to listen to.</summary>
    public const string MeterName = "StoragePlugins";

    /// <summary>Tag: what <c>sphost disk list</c> calls the disk.</summary>
    public const string DiskTag = "storageplugins.disk.name";

    /// <summary>Tag: the pipeline that has it open.</summary>
    public const string PipelineTag = "storageplugins.pipeline.name";

    /// <summary>Tag: how clients reach it, nbd or fuse.</summary>
    public const string ExportTag = "storageplugins.export";

    /// <summary>Tag: what kind of request it was.</summary>
    public const string KindTag = "storageplugins.request.kind";

    /// <summary>Tag: what the bytes were, a <see cref="ContentClass"/>.</summary>
    public const string ContentTag = "storageplugins.content";

    /// <summary>Tag of the field: read or write.</summary>
    public const string DirectionTag = "disk.io.direction";

    private static readonly ContentClass[] s_contents = Enum.GetValues<ContentClass>();

    private readonly Func<IReadOnlyList<IMeteredDisk>> _disks;
    private readonly Meter _meter = new(MeterName, HostCommandLine.Version);
    private readonly DurationReplay _durations;

    /// <param name="disks">What is served now; asked at each observation.</param>
    public DiskInstruments(Func<IReadOnlyList<IMeteredDisk>> disks)
    {
        _disks = disks;
        _durations = new DurationReplay(_meter.CreateHistogram(
            "storageplugins.disk.request.duration", "s", "Time from a request's arrival to its reply.", tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = DurationReplay.Boundaries }));
        CreateGuestInstruments();
        CreateHostInstruments();
        CreateJournalInstruments();
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private void CreateGuestInstruments()
    {
        _meter.CreateObservableCounter("storageplugins.disk.requests", ObserveRequests, "{request}", "Requests of clients that were answered, without those that failed.");
        _meter.CreateObservableCounter("storageplugins.disk.io", () => Each(GuestBytes), "By", "Bytes of these requests.");
        _meter.CreateObservableUpDownCounter("storageplugins.disk.active_requests", () => Each(disk => [At(disk, disk.ActiveRequests)]), "{request}", "Requests under way.");
        _meter.CreateObservableUpDownCounter(
            "storageplugins.disk.connections", () => Each(disk => disk.Connections is { } connections ? [At(disk, connections)] : []), "{connection}", "Connections of clients.");
        _meter.CreateObservableUpDownCounter(
            "storageplugins.disk.durability_lost", () => Each(disk => [At(disk, disk.State == DiskState.DurabilityLost ? 1 : 0)]), "{disk}", "1 when a sync failed: writes and flushes fail until the disk is opened again.");
    }

    private void CreateHostInstruments()
    {
        _meter.CreateObservableCounter("storageplugins.host.operations", () => Each(HostOperations), "{operation}", "Reads and writes of the host's storage.");
        _meter.CreateObservableCounter("storageplugins.host.io", () => Each(HostBytes), "By", "Bytes of these reads and writes, the written ones by what they were.");
        _meter.CreateObservableCounter("storageplugins.host.flushes", () => Each(disk => [At(disk, disk.Meter.Read().HostFlushes)]), "{flush}", "Flushes of the host's storage that were waited for.");
        _meter.CreateObservableCounter("storageplugins.host.barriers", () => Each(disk => [At(disk, disk.Meter.Read().Barriers)]), "{barrier}", "Barriers that did not wait for durability.");
    }

    private void CreateJournalInstruments()
    {
        _meter.CreateObservableUpDownCounter("storageplugins.journal.limit", () => OfJournals(journal => journal.CapacityBytes), "By", "Bytes of the journal's log.");
        _meter.CreateObservableUpDownCounter("storageplugins.journal.usage", () => OfJournals(journal => journal.UsedBytes), "By", "Bytes of the log that cannot be written over yet.");
        _meter.CreateObservableUpDownCounter(
            "storageplugins.journal.pending_transactions", () => OfJournals(journal => journal.PendingTransactions), "{transaction}", "Committed transactions that a recovery would replay: not yet checkpointed.");
        _meter.CreateObservableGauge(
            "storageplugins.journal.oldest_pending_age", () => OfJournals(journal => journal.OldestPending.TotalSeconds), "s", "Time since the oldest of these transactions was committed.");
    }

    private IEnumerable<Measurement<long>> ObserveRequests()
    {
        _durations.Replay(_disks(), TagsOf);
        return Each(GuestRequests);
    }

    private static Measurement<long>[] GuestRequests(IMeteredDisk disk)
    {
        MeterReading m = disk.Meter.Read();
        return
        [
            At(disk, m.GuestReads, RequestKind.Read),
            At(disk, m.GuestWrites - m.GuestDiscards - m.GuestZeroings, RequestKind.Write),
            At(disk, m.GuestFlushes, RequestKind.Flush),
            At(disk, m.GuestBarriers, RequestKind.Barrier),
            At(disk, m.GuestDiscards, RequestKind.Discard),
            At(disk, m.GuestZeroings, RequestKind.Zero),
        ];
    }

    private static Measurement<long>[] GuestBytes(IMeteredDisk disk)
    {
        MeterReading m = disk.Meter.Read();
        return
        [
            At(disk, m.GuestReadBytes, RequestKind.Read),
            At(disk, m.GuestWrittenBytes - m.GuestDiscardedBytes - m.GuestZeroedBytes, RequestKind.Write),
            At(disk, m.GuestDiscardedBytes, RequestKind.Discard),
            At(disk, m.GuestZeroedBytes, RequestKind.Zero),
        ];
    }

    private static IEnumerable<Measurement<long>> HostOperations(IMeteredDisk disk) => HostMeasurements(disk, m => m.HostReads, m => m.HostWritesByClass);

    private static IEnumerable<Measurement<long>> HostBytes(IMeteredDisk disk) => HostMeasurements(disk, m => m.HostReadBytes, m => m.HostBytesByClass);

    // A class that this pipeline has never written is no series.
    private static IEnumerable<Measurement<long>> HostMeasurements(IMeteredDisk disk, Func<MeterReading, long> read, Func<MeterReading, IReadOnlyList<long>> written)
    {
        MeterReading m = disk.Meter.Read();
        yield return new Measurement<long>(read(m), [.. TagsOf(disk), new(DirectionTag, "read")]);
        foreach (ContentClass content in s_contents)
            if (written(m)[(int)content] is > 0 and long count) yield return new Measurement<long>(count, [.. TagsOf(disk), new(DirectionTag, "write"), new(ContentTag, DiskStatistics.NameOf(content))]);
    }

    private IEnumerable<Measurement<T>> OfJournals<T>(Func<JournalReading, T> figure) where T : struct =>
        from disk in _disks()
        let journal = disk.Meter.Journal.Read()
        where journal.IsPresent
        select new Measurement<T>(figure(journal), TagsOf(disk));

    private IEnumerable<Measurement<long>> Each(Func<IMeteredDisk, IEnumerable<Measurement<long>>> observe) => _disks().SelectMany(observe);

    private static Measurement<long> At(IMeteredDisk disk, long value) => new(value, TagsOf(disk));

    private static Measurement<long> At(IMeteredDisk disk, long value, RequestKind kind) => new(value, [.. TagsOf(disk), KindOf(kind)]);

    /// <summary>The tag of a kind of request.</summary>
    internal static KeyValuePair<string, object?> KindOf(RequestKind kind) => new(KindTag, kind.ToString().ToLowerInvariant());

    private static KeyValuePair<string, object?>[] TagsOf(IMeteredDisk disk) => [new(DiskTag, disk.Name), new(PipelineTag, disk.Pipeline), new(ExportTag, disk.Export)];
}
