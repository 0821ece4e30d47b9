using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Media;
using StoragePlugins.PmJournal.Region;
using StoragePlugins.PmJournal.Ring;
using StoragePlugins.PmJournal.Tests.Ring;

namespace StoragePlugins.PmJournal.Tests.Region;

public sealed class RegionTieTests : IDisposable
{
    private static readonly byte[] s_record = [1, 2, 3];

    private readonly DirectoryInfo _folder = Directory.CreateDirectory("/dev/shm/sp-tie-" + Guid.NewGuid().ToString("N"));
    private readonly PmJournalOptions _options = new() { Emulated = true, Size = PmRegion.LeastBytes };
    private MarkedSite _site;

    public RegionTieTests() => _site = new MarkedSite(Path.Combine(_folder.FullName, "image"));

    private string Journal => _site.ImageName + ".pmj";

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Records_are_found_again_after_a_crash_and_not_after_a_clean_close()
    {
        CrashWithOneRecord();
        using (RegionTie tie = Reopen())
        {
            Assert.NotNull(tie.ToRecover);
            Assert.Equal([s_record], Records(tie));
            tie.Start();
            tie.Release();
        }

        Assert.Null(_site.Payload);
        using RegionTie clean = Reopen();
        Assert.Null(clean.ToRecover);
    }

    [Fact]
    public void Journal_file_that_a_session_made_goes_at_close_also_when_another_session_closes()
    {
        CrashWithOneRecord();
        Assert.True(File.Exists(Journal));
        using RegionTie tie = Reopen();
        tie.Start();
        tie.Release();
        Assert.False(File.Exists(Journal));
    }

    [Fact]
    public void Journal_file_that_the_user_made_stays()
    {
        File.WriteAllBytes(Journal, new byte[2 * PmRegion.LeastBytes]);
        using RegionTie tie = Reopen();
        PmRing ring = tie.Start();
        Assert.True(ring.Capacity > PmRegion.LeastBytes);
        ring.Append(s_record);
        tie.Release();
        Assert.Equal(2 * PmRegion.LeastBytes, new FileInfo(Journal).Length);
        using RegionTie again = Reopen();
        again.Start();
        Assert.Null(again.ToRecover is null ? null : Records(again).SingleOrDefault());
    }

    [Fact]
    public void Image_does_not_open_without_its_journal_while_it_matters()
    {
        CrashWithOneRecord();
        File.Move(Journal, Journal + ".moved");
        DiagnosticException missing = Fails("SP3132");
        Assert.Contains(Journal, missing.Message, StringComparison.Ordinal);
        _options.Path = Journal + ".moved";
        using RegionTie found = Reopen();
        Assert.Equal([s_record], Records(found));
    }

    [Fact]
    public void Journal_in_its_old_place_is_found_when_another_one_is_configured_now()
    {
        CrashWithOneRecord();
        string old = Journal;
        _options.Path = Path.Combine(_folder.FullName, "new.pmj");
        using RegionTie tie = Reopen();
        Assert.Equal([s_record], Records(tie));
        tie.Start();
        Assert.False(File.Exists(old));
        Assert.True(File.Exists(_options.Path));
    }

    [Fact]
    public void Other_journal_in_its_place_is_not_taken_for_it()
    {
        CrashWithOneRecord();
        File.WriteAllBytes(Journal, new byte[PmRegion.LeastBytes]);
        Fails("SP3135");
    }

    [Fact]
    public void Journal_that_another_image_still_needs_is_never_overwritten()
    {
        CrashWithOneRecord();
        byte[] before = File.ReadAllBytes(Journal);
        _options.Path = Journal;
        _site = new MarkedSite(Path.Combine(_folder.FullName, "other"));
        using RegionTie tie = Reopen();
        Assert.Equal("SP3133", Assert.Throws<DiagnosticException>(tie.Start).Code);
        Assert.Equal(before, File.ReadAllBytes(_options.Path));
        Assert.Null(_site.Payload);
    }

    [Fact]
    public void Journal_of_another_image_is_not_replayed()
    {
        CrashWithOneRecord();
        _site.ImageId = Guid.NewGuid();
        Fails("SP3133");
    }

    [Theory]
    [InlineData(1, "older")]
    [InlineData(-1, "newer")]
    public void Journal_of_another_epoch_is_not_replayed(int difference, string says)
    {
        CrashWithOneRecord();
        _site.Epoch += (ulong)difference;
        Assert.Contains(says, Fails("SP3134").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Old_copy_of_the_journal_is_not_replayed()
    {
        CrashWithOneRecord();
        File.Copy(Journal, Journal + ".copy");
        using (RegionTie tie = Reopen()) tie.Start();
        File.Move(Journal + ".copy", Journal, overwrite: true);
        Assert.Contains("older", Fails("SP3134").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Journal_that_was_cut_is_not_replayed()
    {
        CrashWithOneRecord();
        Cut(Journal, 8192);
        Fails("SP3136");
        Cut(Journal, 0);
        Fails("SP3131");
    }

    [Fact]
    public void Region_that_is_too_small_is_refused()
    {
        byte[] letters = new byte[PmRegion.LeastBytes - 4096];
        letters[^1] = 1;
        File.WriteAllBytes(Journal, letters);
        using RegionTie tie = Reopen();
        Assert.Equal("SP3131", Assert.Throws<DiagnosticException>(tie.Start).Code);
        Assert.Equal(letters, File.ReadAllBytes(Journal));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8192)]
    public void File_whose_making_a_power_cut_interrupted_is_made_to_the_end(int length)
    {
        File.WriteAllBytes(Journal, new byte[length]);
        using RegionTie tie = Reopen();
        tie.Start();
        Assert.Equal(_options.Size, new FileInfo(Journal).Length);
    }

    [Fact]
    public void File_with_something_else_in_it_is_not_overwritten()
    {
        byte[] letters = new byte[PmRegion.LeastBytes];
        "my only copy"u8.CopyTo(letters.AsSpan(3000));
        File.WriteAllBytes(Journal, letters);
        using RegionTie tie = Reopen();
        Assert.Equal("SP3138", Assert.Throws<DiagnosticException>(tie.Start).Code);
        Assert.Equal(letters, File.ReadAllBytes(Journal));
    }

    [Fact]
    public void Damaged_header_is_reported_and_never_guessed()
    {
        CrashWithOneRecord();
        using (RegionTie tie = Reopen()) tie.Start();
        byte[] bytes = File.ReadAllBytes(Journal);
        int newer = BitConverter.ToUInt64(bytes, 512 + 16) > BitConverter.ToUInt64(bytes, 16) ? 512 : 0;
        bytes[newer + 48]++;
        File.WriteAllBytes(Journal, bytes);
        Fails("SP3134");
        bytes[512 - newer + 48]++;
        File.WriteAllBytes(Journal, bytes);
        Fails("SP3138");
    }

    [Theory]
    [InlineData(PersistenceDomain.Adr)]
    [InlineData(PersistenceDomain.Msync)]
    public void Crash_while_the_header_is_written_leaves_the_one_before(PersistenceDomain domain)
    {
        var memory = new CrashMemory(RegionHeader.AreaBytes, domain);
        var random = new Random(5);
        RegionHeader? before = null;
        for (ulong generation = 1; generation < 6; generation++)
        {
            var next = new RegionHeader(Guid.NewGuid(), 1 << 20, Guid.NewGuid(), generation, RegionUse.InUse, generation);
            memory.BeforeFence = () =>
            {
                for (int i = 0; i < 500; i++)
                {
                    RegionHeader? read = RegionHeader.Read(new CrashMemory(memory.Crash(random), domain), out string? problem);
                    Assert.Null(problem);
                    Assert.True(read == before || read == next, $"{read}");
                }
            };
            next.Write(memory);
            before = next;
            memory.BeforeFence();
        }
    }

    [Fact]
    public void Journal_in_use_by_another_process_is_refused()
    {
        CrashWithOneRecord();
        // qemu-io takes the locks of an image's writer and keeps them while it waits for its next command.
        using Process holder = Process.Start(new ProcessStartInfo("qemu-io", ["-f", "raw", Journal]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        holder.StandardInput.WriteLine("length");
        holder.StandardOutput.ReadLine();
        Fails("SP3137");
        holder.StandardInput.WriteLine("quit");
        holder.WaitForExit();
        Reopen().Dispose();
    }

    [Fact]
    public void Format_without_a_mark_is_refused()
    {
        _site = new MarkedSite(_site.ImageName) { HasMark = false };
        Assert.Equal("SP3142", Assert.Throws<DiagnosticException>(() => new RegionTie(_site, Context())).Code);
    }

    [Fact]
    public void Mark_of_a_later_version_is_refused()
    {
        _site.Payload = new byte[] { 9, 1, 0, 0 };
        Fails("SP3139");
    }

    [Fact]
    public void Path_that_does_not_fit_the_mark_is_refused_before_anything_is_marked()
    {
        string deep = Path.Combine(_folder.FullName, new string('a', 200));
        Directory.CreateDirectory(deep);
        _options.Path = Path.Combine(deep, "journal");
        using RegionTie tie = Reopen();
        Assert.Equal("SP3140", Assert.Throws<DiagnosticException>(tie.Start).Code);
        Assert.Null(_site.Payload);
    }

    [Fact]
    public void Crash_at_any_change_of_the_mark_leaves_an_image_that_opens()
    {
        foreach (int crashAt in new[] { 1, 2, 3 })
        {
            _site = new MarkedSite(Path.Combine(_folder.FullName, "image" + crashAt.ToString(CultureInfo.InvariantCulture)));
            int changes = 0;
            _site.Before = _ =>
            {
                if (++changes == crashAt) throw new InvalidOperationException("crash");
            };
            using (var tie = new RegionTie(_site, Context()))
            {
                Assert.Throws<InvalidOperationException>(() =>
                {
                    tie.Start();
                    tie.Release();
                });
            }

            using RegionTie after = Reopen();
            Assert.Null(after.ToRecover);
            after.Start().Append(s_record);
            after.Release();
            Assert.Null(_site.Payload);
        }
    }

    private void CrashWithOneRecord()
    {
        using RegionTie tie = Reopen();
        tie.Start().Append(s_record);
    }

    private RegionTie Reopen()
    {
        _site = _site.Reopened();
        return new RegionTie(_site, Context());
    }

    private DiagnosticException Fails(string code)
    {
        DiagnosticException failure = Assert.Throws<DiagnosticException>(() => Reopen().Dispose());
        Assert.Equal(code, failure.Code);
        return failure;
    }

    private static List<byte[]> Records(RegionTie tie)
    {
        var records = new List<byte[]>();
        Assert.Null(tie.RingToRecover().Scan((_, _, content) => records.Add(content.ToArray())));
        return records;
    }

    private static void Cut(string path, long length)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Write);
        file.SetLength(length);
    }

    private StrategyContext Context() => new(
        _options, new StorageMeter(), NullLogger.Instance,
        request => new FileMediumFactory().Open(request, new StrategyContext(null, new StorageMeter(), NullLogger.Instance)));
}
