using System.Diagnostics.Metrics;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Telemetry;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Telemetry;

// Instruments are the process's: a test that runs beside this one must not make its own.
public sealed class DiskInstrumentsTests : IDisposable
{
    private readonly WatchedDisk _disk = new();
    private readonly List<IMeteredDisk> _served = [];
    private readonly DiskInstruments _instruments;
    private readonly Listening _listening;

    public DiskInstrumentsTests()
    {
        _served.Add(_disk);
        _instruments = new DiskInstruments(() => _served);
        _listening = new Listening();
    }

    public void Dispose()
    {
        _listening.Dispose();
        _instruments.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Names_units_and_kinds_are_those_of_the_table_in_the_documentation()
    {
        string[] documented = [.. File.ReadLines(Path.Combine(Plugins.Fixture.Metadata("RepositoryRoot"), "docs", "monitoring.md")).Where(line => line.StartsWith("| `storageplugins.", StringComparison.Ordinal))
            .Select(line => line.Split('|')).Where(cells => cells.Length > 5).Select(cells => string.Join(' ', cells[1..4].Select(cell => cell.Trim(' ', '`'))))];
        string[] there = [.. _listening.Instruments.Select(instrument => $"{instrument.Name} {instrument.Unit} {KindOf(instrument)}")];
        Assert.True(there.Length > 10);
        Assert.Equal(there.Order(), documented.Order());
    }

    [Fact]
    public void Requests_and_bytes_are_counted_by_kind()
    {
        _disk.Served.Write(0, new byte[4096]);
        _disk.Served.Write(4096, new byte[512], WriteFlags.ForceUnitAccess);
        _disk.Served.Read(0, new byte[1024]);
        _disk.Served.Discard(0, 8192);
        _disk.Served.WriteZeroes(0, 65536, mayUnmap: true);
        _disk.Served.Flush();
        _disk.Meter.CountGuestBarrier();

        ILookup<string, Heard> heard = _listening.Observe();
        Assert.Equal(
            new Dictionary<string, double> { ["read"] = 1, ["write"] = 2, ["flush"] = 2, ["barrier"] = 1, ["discard"] = 1, ["zero"] = 1 }, ByTag(heard["storageplugins.disk.requests"], DiskInstruments.KindTag));
        Assert.Equal(
            new Dictionary<string, double> { ["read"] = 1024, ["write"] = 4608, ["discard"] = 8192, ["zero"] = 65536 }, ByTag(heard["storageplugins.disk.io"], DiskInstruments.KindTag));
        Assert.All(heard["storageplugins.disk.requests"], measurement =>
        {
            Assert.Equal(("web", "qcow2-journal", "nbd"), (measurement.Tags[DiskInstruments.DiskTag], measurement.Tags[DiskInstruments.PipelineTag], measurement.Tags[DiskInstruments.ExportTag]));
            Assert.Equal(4, measurement.Tags.Count);
        });
    }

    [Fact]
    public void Host_side_is_counted_by_content()
    {
        _disk.Meter.CountHostWrite(ContentClass.GuestData, 4096);
        _disk.Meter.CountHostWrite(ContentClass.JournalRecord, 512);
        _disk.Meter.CountHostRead(100);
        _disk.Meter.CountHostFlush();
        _disk.Meter.CountBarrier();

        ILookup<string, Heard> heard = _listening.Observe();
        Assert.Equal(new Dictionary<string, double> { ["guestData"] = 4096, ["journalRecord"] = 512 }, ByTag(Written("storageplugins.host.io"), DiskInstruments.ContentTag));
        Assert.Equal(new Dictionary<string, double> { ["guestData"] = 1, ["journalRecord"] = 1 }, ByTag(Written("storageplugins.host.operations"), DiskInstruments.ContentTag));
        Assert.Equal(100, heard["storageplugins.host.io"].Single(measurement => measurement.Tags[DiskInstruments.DirectionTag] == "read").Value);
        Assert.Equal((1, 1), (heard["storageplugins.host.flushes"].Single().Value, heard["storageplugins.host.barriers"].Single().Value));

        IEnumerable<Heard> Written(string name) => heard[name].Where(measurement => measurement.Tags[DiskInstruments.DirectionTag] == "write");
    }

    [Fact]
    public void Durations_are_replayed_once_each_and_right_to_a_sixteenth()
    {
        _disk.Took(RequestKind.Read, TimeSpan.FromMicroseconds(20), times: 100);
        _disk.Took(RequestKind.Flush, TimeSpan.FromMilliseconds(3), times: 7);
        Heard[] first = [.. _listening.Observe()["storageplugins.disk.request.duration"]];
        Assert.Equal(100, first.Count(measurement => measurement.Tags[DiskInstruments.KindTag] == "read" && Math.Abs((measurement.Value / 20e-6) - 1) < 1 / 16.0));
        Assert.Equal(7, first.Count(measurement => measurement.Tags[DiskInstruments.KindTag] == "flush" && Math.Abs((measurement.Value / 3e-3) - 1) < 1 / 16.0));
        Assert.Equal(107, first.Length);

        Assert.Empty(_listening.Observe()["storageplugins.disk.request.duration"]);
        _disk.Took(RequestKind.Read, TimeSpan.FromMicroseconds(20));
        Assert.Single(_listening.Observe()["storageplugins.disk.request.duration"]);
    }

    [Fact]
    public void Buckets_cover_a_microsecond_to_ten_seconds() =>
        Assert.Equal((1e-6, 10.0, 22), (DurationReplay.Boundaries[0], DurationReplay.Boundaries[^1], DurationReplay.Boundaries.Count));

    [Fact]
    public void Journal_is_shown_while_there_is_one()
    {
        Assert.Empty(_listening.Observe()["storageplugins.journal.limit"]);
        _disk.Meter.Journal.Set(1000, 300, 4, System.Diagnostics.Stopwatch.GetTimestamp() - (2 * System.Diagnostics.Stopwatch.Frequency));
        ILookup<string, Heard> heard = _listening.Observe();
        Assert.Equal(
            (1000, 300, 4),
            (heard["storageplugins.journal.limit"].Single().Value, heard["storageplugins.journal.usage"].Single().Value, heard["storageplugins.journal.pending_transactions"].Single().Value));
        Assert.InRange(heard["storageplugins.journal.oldest_pending_age"].Single().Value, 2, 20);
        _disk.Meter.Journal.Clear();
        Assert.Empty(_listening.Observe()["storageplugins.journal.usage"]);
    }

    [Fact]
    public void Lost_durability_shows()
    {
        Assert.Equal(0, _listening.Observe()["storageplugins.disk.durability_lost"].Single().Value);
        _disk.Served.SetPoison(new DurabilityLostException("flush", "web", "the device is gone"));
        Assert.Equal(1, _listening.Observe()["storageplugins.disk.durability_lost"].Single().Value);
    }

    [Fact]
    public void Requests_under_way_show()
    {
        var memory = new MemoryDisk { ColdOffset = 0 };
        using var disk = new WatchedDisk("cold", memory);
        _served.Add(disk);
        var reader = new Thread(() => disk.Served.Read(0, new byte[512]));
        reader.Start();
        NbdTestServer.Eventually(() => Active() == 1, "the read is under way");
        memory.ColdRead.Set();
        reader.Join();
        Assert.Equal(0, Active());

        memory.FlushMayEnd.Reset();
        disk.Served.Write(512, new byte[512]);
        var flusher = new Thread(disk.Served.Flush);
        flusher.Start();
        NbdTestServer.Eventually(() => memory.FlushesRunning == 1, "the flush is under way");
        Assert.Equal(1, Active());
        var ticket = new CountedTicket();
        disk.Served.Write(512, new byte[512]);
        disk.Served.SubmitFlush(ticket);
        Assert.Equal(2, Active());
        memory.FlushMayEnd.Set();
        flusher.Join();
        NbdTestServer.Eventually(() => ticket.IsAnswered && Active() == 0, "all are answered");

        double Active() => _listening.Observe()["storageplugins.disk.active_requests"].Single(measurement => measurement.Tags[DiskInstruments.DiskTag] == "cold").Value;
    }

    [Fact]
    public void Nothing_is_heard_of_a_disk_that_is_no_longer_served_and_nothing_at_all_after_the_end()
    {
        using var other = new WatchedDisk("build");
        _served.Add(other);
        Assert.Equal(["build", "web"], Disks());
        _served.Remove(other);
        Assert.Equal(["web"], Disks());
        _instruments.Dispose();
        Assert.Empty(_listening.Observe());

        IEnumerable<string> Disks() => _listening.Observe().SelectMany(group => group).Select(measurement => measurement.Tags[DiskInstruments.DiskTag]).Distinct().Order();
    }

    [Fact]
    public void Host_that_ran_long_before_anybody_listened_does_not_replay_its_life()
    {
        _listening.Dispose();
        var counts = new LongAgo();
        _served[0] = counts;
        using var listening = new Listening();
        Assert.Empty(listening.Observe()["storageplugins.disk.request.duration"]);
        counts.Reads++;
        Assert.Single(listening.Observe()["storageplugins.disk.request.duration"]);
    }

    private static string KindOf(Instrument instrument) => instrument.GetType().Name.Split('`')[0].Replace("Observable", "", StringComparison.Ordinal).ToLowerInvariant();

    private static Dictionary<string, double> ByTag(IEnumerable<Heard> heard, string tag) => heard.ToDictionary(measurement => measurement.Tags[tag], measurement => measurement.Value);

    private sealed class CountedTicket : FlushTicket
    {
        public volatile bool IsAnswered;

        public override void Flushed(StorageException? failure) => IsAnswered = true;
    }

    private sealed class LongAgo : IMeteredDisk
    {
        public long Reads { get; set; } = DurationReplay.MaxReplayed + 1;

        public string Name => "old";

        public string Pipeline => "raw";

        public string Export => "nbd";

        public long Size => 0;

        public DiskState State => DiskState.Serving;

        public StorageMeter Meter { get; } = new();

        public int ActiveRequests => 0;

        public int? Connections => null;

        public void AddLatency(Span<long> counts, RequestKind kind)
        {
            if (kind == RequestKind.Read) counts[100] += Reads;
        }
    }
}
