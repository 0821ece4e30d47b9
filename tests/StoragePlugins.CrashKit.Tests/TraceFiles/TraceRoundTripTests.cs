using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.CrashKit.Tests.TraceFiles;

public sealed class TraceRoundTripTests
{
    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void What_a_medium_recorded_comes_back_event_by_event(int sectorBytes)
    {
        byte[] before = new byte[9000];
        new Random(3).NextBytes(before);
        var machine = new Machine(before, DeviceTraits.BarrierDisk);
        var trace = new Trace();
        using SimulatedMedium medium = machine.OpenImage(trace);
        medium.Write(0, Filled(4096, 1), ContentClass.GuestData);
        medium.Write(513, Filled(6, 2), ContentClass.Map); // inside a sector
        medium.Write(1000, Filled(5000, 3), ContentClass.Allocation); // over edges
        medium.FlushData();
        medium.Write(8990, Filled(100, 4), ContentClass.JournalRecord); // grows to 9090
        medium.Barrier();
        medium.TryZeroRange(4096, 4096);
        medium.TryZeroRange(100, 50);
        medium.TryZeroRange(1000, 7777);
        medium.SetLength(5001);
        medium.SetLength(90000);
        medium.Preallocate(65536, 16384); // one that lengthens the file comes back as a length and zeros
        medium.FlushAll();
        trace.Add(TraceKind.Write, 0, 8192, 4096, Filled(4096, 5), ContentClass.Header, isForced: true);
        trace.Add(TraceKind.Mark, 0, text: "a remark — of somebody");

        Trace read = ThroughALog(trace, before, sectorBytes).Trace;

        Assert.Equal(trace.Events.Select(Describe), read.Events.Select(Describe));
        Assert.All(read.Events.Zip(read.Events.Skip(1)), pair => Assert.True(pair.First.End < pair.Second.Begin));
    }

    [Fact]
    public void Writes_stand_where_they_returned_and_flushes_where_they_were_submitted()
    {
        // dm-log-writes: Wa Wb Ca flush Cb Cflush is logged as a, flush, b.
        var trace = new Trace();
        TraceEvent a = Write(trace, 0), b = Write(trace, 512), lost = Write(trace, 1024);
        trace.End(a);
        TraceEvent flush = trace.Begin(TraceKind.Flush, 0);
        trace.End(b);
        trace.End(flush);
        Assert.Equal(TraceEvent.Never, lost.End);

        Trace read = ThroughALog(trace, [], 512).Trace;

        Assert.Equal(["Write 0", "Flush 0", "Write 512"], read.Events.Select(entry => $"{entry.Kind} {entry.Offset}"));
    }

    [Fact]
    public void A_flush_that_failed_or_never_returned_is_no_flush_for_others_and_comes_back_as_it_was()
    {
        var trace = new Trace();
        trace.Fail(trace.Begin(TraceKind.Flush, 0));
        trace.Fail(trace.Begin(TraceKind.Barrier, 0));
        trace.Begin(TraceKind.Flush, 0);

        using var log = new MemoryStream();
        TraceExport.Write(trace, 0, [], log, "log");
        using var reader = new DmLogWritesReader(log, "log");
        Assert.All(reader.Entries(), entry => Assert.Equal(LogFlags.Mark, entry.Flags));
        Trace read = TraceImport.Read(reader).Trace;

        Assert.Equal([(TraceKind.Flush, true, true), (TraceKind.Barrier, true, true), (TraceKind.Flush, false, false)], read.Events.Select(entry => (entry.Kind, entry.HasFailed, entry.End != TraceEvent.Never)));
    }

    [Fact]
    public void A_trace_with_stores_to_memory_is_refused_in_one_line()
    {
        var trace = new Trace();
        trace.Add(TraceKind.Write, 0, 0, 512, new byte[512]);
        trace.Add(TraceKind.StoreNonTemporal, 1, 64, 64, new byte[64]);
        DiagnosticException refused = Assert.Throws<DiagnosticException>(() => TraceExport.Write(trace, 0, [], new MemoryStream(), "trace.dmlog"));
        Assert.Equal("SP6024", refused.Code);
        Assert.StartsWith("trace.dmlog: the trace has stores to persistent memory", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flush_that_carries_a_write_comes_before_it()
    {
        // As the kernel logs a write with REQ_PREFLUSH|REQ_FUA; and REQ_META, which QEMU does not know.
        using var log = new RawLog(512);
        log.Entry(8, 1, LogFlags.Flush | LogFlags.Fua | LogFlags.Metadata, data: Filled(512, 7));
        using DmLogWritesReader reader = log.Open();
        IReadOnlyList<TraceEvent> events = TraceImport.Read(reader).Trace.Events;
        Assert.Equal([TraceKind.Flush, TraceKind.Write], events.Select(entry => entry.Kind));
        Assert.True(events[1].IsForced);
        Assert.Equal((4096, 512), (events[1].Offset, events[1].Length));
    }

    private static TraceEvent Write(Trace trace, long offset) => trace.Begin(TraceKind.Write, 0, offset, 512, new byte[512]);

    private static byte[] Filled(int length, byte value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static ImportedTrace ThroughALog(Trace trace, byte[] before, int sectorBytes)
    {
        using var log = new MemoryStream();
        TraceExport.Write(trace, 0, before, log, "log", sectorBytes);
        using var reader = new DmLogWritesReader(log, "log");
        Assert.Equal(sectorBytes, reader.SectorBytes);
        return TraceImport.Read(reader);
    }

    private static string Describe(TraceEvent entry) => $"{entry} {entry.Content} {Convert.ToHexString(entry.Data.Span)}";
}
