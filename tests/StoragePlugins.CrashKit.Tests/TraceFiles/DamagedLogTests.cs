using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.CrashKit.Tests.TraceFiles;

/// <summary>Logs that are none, or not whole, are refused in one line; none of them makes the reader run on.</summary>
public sealed class DamagedLogTests
{
    private const ulong Magic = 0x6a736677736872;

    [Theory]
    [InlineData(0x5146_49fbUL, 1UL, 0L, 512U, "its magic is another")]
    [InlineData(Magic, 2UL, 0L, 512U, "version")]
    [InlineData(Magic, 1UL, 0L, 0U, "sector size")]
    [InlineData(Magic, 1UL, 0L, 700U, "sector size")]
    [InlineData(Magic, 1UL, 0L, 1U << 31, "sector size")]
    [InlineData(Magic, 1UL, 1_000_000L, 512U, "more entries than it has room for")]
    [InlineData(Magic, 1UL, -1L, 512U, "more entries than it has room for")]
    public void A_super_that_is_none_is_refused(ulong magic, ulong version, long entries, uint sectorBytes, string why)
    {
        using var log = new RawLog(512);
        log.Super(magic, version, entries, sectorBytes);
        Refused("SP6020", why, () => log.Open());
    }

    [Fact]
    public void A_file_that_is_too_short_for_a_super_is_refused() => Refused("SP6020", "it has no super", () => new DmLogWritesReader(new MemoryStream(new byte[27]), "short"));

    [Fact]
    public void A_file_that_is_not_there_is_named() => Refused("SP5001", "the log cannot be opened", () => DmLogWritesReader.Open("/nowhere/at/all.dmlog"));

    [Theory]
    [InlineData(1)]
    [InlineData(1024)]
    [InlineData(1025)]
    public void A_log_that_was_cut_short_is_refused_and_not_read_as_a_shorter_one(int cut)
    {
        using var log = new RawLog(512);
        log.Entry(0, 2, LogFlags.None, data: new byte[1024]);
        log.Entry(0, 0, LogFlags.Flush);
        log.Entry(8, 2, LogFlags.None, data: new byte[1024]);
        log.Cut(cut);
        using DmLogWritesReader reader = log.Open();
        Refused("SP6021", "of 3", () => TraceImport.Read(reader));
    }

    [Theory]
    [InlineData(0UL, 1UL, 0x4000L, 0UL, "unknown flags")]
    [InlineData(ulong.MaxValue, 1UL, 0L, 0UL, "ends behind 2^63")]
    [InlineData(1UL, ulong.MaxValue - 1, 4L, 0UL, "ends behind 2^63")]
    [InlineData(1UL << 54, 1UL << 54, 4L, 0UL, "ends behind 2^63")]
    [InlineData(0UL, 1UL, 0L, 511UL, "data length")]
    [InlineData(0UL, 1UL, 8L, 0UL, "a mark has a range")]
    [InlineData(0UL, 0UL, 8L, 481UL, "longer than its sector")]
    public void An_entry_that_makes_no_sense_is_refused(ulong sector, ulong sectors, long flags, ulong dataLength, string why)
    {
        using var log = new RawLog(512);
        log.Entry(0, 0, LogFlags.Flush);
        log.Entry(sector, sectors, (LogFlags)flags, dataLength, data: new byte[512]);
        using DmLogWritesReader reader = log.Open();
        Refused("SP6022", why, () => TraceImport.Read(reader));
    }

    [Theory]
    [InlineData("sp:class=Nonsense")]
    [InlineData("sp:range=12")]
    [InlineData("sp:range=9223372036854775807+1")]
    [InlineData("sp:range=-5+10")]
    [InlineData("sp:length=")]
    [InlineData("sp:zero=0+1;entries=2")] // there is one behind it
    [InlineData("sp:range=100+600")] // beyond the entry behind it
    [InlineData("sp:tomorrow")]
    public void A_mark_of_ours_that_makes_no_sense_is_refused(string text)
    {
        using var log = new RawLog(512);
        log.Entry(0, 0, LogFlags.Mark, (ulong)text.Length, System.Text.Encoding.ASCII.GetBytes(text));
        log.Entry(0, 1, LogFlags.None, data: new byte[512]);
        using DmLogWritesReader reader = log.Open();
        Refused("SP6022", "", () => TraceImport.Read(reader));
    }

    [Fact]
    public void A_mark_of_somebody_else_is_kept_with_or_without_its_length()
    {
        using var log = new RawLog(512);
        log.Entry(0, 0, LogFlags.Mark, 6, "mymark"u8.ToArray());
        log.Entry(0, 0, LogFlags.Mark, 0, "dm-log-writes-end"u8.ToArray());
        using DmLogWritesReader reader = log.Open();
        Assert.Equal(["mymark", "dm-log-writes-end"], TraceImport.Read(reader).Trace.Events.Select(entry => entry.Text));
    }

    [Fact]
    public void A_log_of_more_data_than_a_trace_may_have_is_refused_before_it_is_read()
    {
        // A sparse file: 1 GiB and a sector of zeros.
        string path = Path.GetTempFileName();
        try
        {
            using (var log = new RawLog(512))
            {
                log.Entry(0, (ulong)(Trace.MaxBytes / 512) + 1, LogFlags.None);
                log.SaveTo(path, 1024 + Trace.MaxBytes + 512);
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            using DmLogWritesReader reader = DmLogWritesReader.Open(path);
            Refused("SP6023", "too much data", () => TraceImport.Read(reader));
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Any_byte_of_a_log_may_be_wrong_and_the_reader_ends_with_a_trace_or_a_diagnostic()
    {
        var trace = new Trace();
        trace.Add(TraceKind.Write, 0, 100, 700, new byte[700], ContentClass.Map);
        trace.Add(TraceKind.Flush, 0);
        trace.Add(TraceKind.Zero, 0, 100, 5000);
        trace.Add(TraceKind.SetLength, 0, 77);
        using var good = new MemoryStream();
        TraceExport.Write(trace, 0, new byte[9000], good, "log");
        byte[] bytes = good.ToArray();
        var random = new Random(5);
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] bad = [.. bytes];
            for (int n = random.Next(1, 4); n > 0; n--) bad[random.Next(bad.Length / 512 * 512) / 512 * 512 + random.Next(64)] = (byte)random.Next(256);
            try
            {
                using var reader = new DmLogWritesReader(new MemoryStream(bad), "log");
                TraceImport.Read(reader);
            }
            catch (DiagnosticException e)
            {
                Assert.StartsWith("SP602", e.Code, StringComparison.Ordinal);
                refused++;
            }
        }

        Assert.True(refused > 300, $"{refused}");
    }

    private static void Refused(string code, string why, Func<object> read)
    {
        DiagnosticException refused = Assert.Throws<DiagnosticException>(read);
        Assert.Equal(code, refused.Code);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }
}
