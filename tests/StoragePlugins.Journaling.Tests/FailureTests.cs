using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

public sealed class FailureTests
{
    [Fact]
    public void Record_that_cannot_be_written_leaves_everything_as_before_and_may_be_committed_again()
    {
        using var image = new Image();
        image.Commit(Image.Tables, Image.Filled(8, 1));
        image.Home.Write(Image.Data, Image.Filled(4096, 5), ContentClass.GuestData);
        image.Medium.Before = FailRecords;
        StorageException e = Assert.Throws<StorageException>(() => image.Commit(Image.Tables, Image.Filled(8, 2)));
        Assert.Equal(StorageError.NoSpace, e.Error);
        Assert.Equal(Image.Filled(8, 1), image.Read(Image.Tables, 8));
        Assert.Equal(Image.Filled(4096, 5), image.Read(Image.Data, 4096));

        image.Medium.Before = null;
        image.Commit(Image.Tables, Image.Filled(8, 3));
        using Image again = image.Reopen();
        Assert.Equal(2, again.Report!.TransactionsReplayed);
        Assert.Equal(Image.Filled(8, 3), again.Read(Image.Tables, 8));
        Assert.Equal(Image.Filled(4096, 5), again.Read(Image.Data, 4096));
    }

    [Fact]
    public void Of_a_record_that_was_reported_as_failed_and_its_repetition_the_repetition_is_replayed()
    {
        using var image = new Image();
        // It lands whole though it is reported as failed; the repetition goes to the next lap.
        var log = new RegionLog(image.Medium, Image.Place);
        var identity = new RecordIdentity(image.Site.ImageId, image.Site.Epoch);
        Append(log, identity, 8192, attempt: 1, value: 7);
        Append(log, identity, 65536, attempt: 0, value: 6);
        using Image again = image.Reopen();
        Assert.Equal(Image.Filled(8, 7), again.Read(Image.Tables, 8));
    }

    [Theory]
    [InlineData("flush")]
    [InlineData("barrier")]
    public void Failed_sync_is_final(string operation)
    {
        using var image = new Image();
        int calls = 0;
        image.Medium.Before = (name, _, _, _) =>
        {
            if (name != operation) return;
            calls++;
            throw new StorageException(StorageError.Io, name, "memory", -1, 0, "test");
        };
        image.Home.Write(Image.Data, Image.Filled(4096, 5), ContentClass.GuestData);
        CommitGoal goal = operation == "flush" ? CommitGoal.Durable : CommitGoal.Ordered;
        Assert.Throws<DurabilityLostException>(() => image.Commit(Image.Tables, Image.Filled(8, 2), goal));
        Assert.Throws<DurabilityLostException>(() => image.Commit(Image.Tables, Image.Filled(8, 2), goal));
        Assert.Throws<DurabilityLostException>(image.Home.Flush);
        Assert.Throws<DurabilityLostException>(image.Home.Barrier);
        Assert.Throws<DurabilityLostException>(() => image.Home.Write(Image.Data, Image.Filled(4096, 6), ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(() => image.Home.Write(Image.Data, Image.Filled(65536, 6), ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(image.Session.Close);
        Assert.Equal(1, calls);
        Assert.Equal(Image.Filled(4096, 5), image.Read(Image.Data, 4096));
        Assert.NotNull(image.Site.Payload);
    }

    [Fact]
    public void Any_failing_operation_loses_nothing_that_was_acknowledged()
    {
        for (int failing = 0; failing < 60; failing++)
        {
            using var image = new Image(new RecordingMedium(new byte[Image.Data + Image.DataLength]) { Records = false });
            int operations = 0;
            int acknowledged = 0;
            image.Medium.Before = (name, offset, length, _) =>
            {
                if (Interlocked.Increment(ref operations) == failing + 1) throw new StorageException(StorageError.Io, name, "memory", offset, length, "test");
            };
            int tried = 0;
            try
            {
                for (int i = 1; i < 40; i++)
                {
                    tried = i;
                    image.Home.Write(Image.Data + (i % 5 * 4096), Image.Filled(4096, i), ContentClass.GuestData);
                    image.Home.Write(Image.Data + 65536 + (i % 3 * 512), Image.Filled(8192, i), ContentClass.GuestData);
                    if (i % 4 == 0) image.Session.Checkpoint();
                    image.Commit(Image.Tables, Image.Filled(8, i));
                    acknowledged = i;
                }
            }
            catch (StorageException)
            {
                // What went before it was acknowledged.
            }

            image.Medium.Before = null;
            using Image again = image.Reopen();
            int shown = again.Read(Image.Tables, 8)[0];
            Assert.InRange(shown, acknowledged, tried);
            for (int k = Math.Max(1, acknowledged - 4); k <= acknowledged; k++)
                Assert.True(again.Read(Image.Data + (k % 5 * 4096), 1)[0] >= k, $"operation {failing}, write {k}");
        }
    }

    [Fact]
    public void Home_that_cannot_grow_fails_the_commit_that_needs_room_and_loses_nothing()
    {
        using var image = new Image();
        image.Medium.Before = (name, offset, length, content) =>
        {
            if (content == ContentClass.Checkpoint) throw new StorageException(StorageError.NoSpace, name, "memory", offset, length, "test");
        };
        int done = 0;
        StorageException e = Assert.Throws<StorageException>(() =>
        {
            for (; done < 200; done++) image.Commit(Image.Tables + (done % 100 * 8), Image.Filled(8, done));
        });
        Assert.Equal(StorageError.NoSpace, e.Error);
        Assert.InRange(done, 55, 64);
        image.Medium.Before = null;
        image.Commit(Image.Tables + (done % 100 * 8), Image.Filled(8, done));
        using Image again = image.Reopen();
        for (int i = 0; i <= done; i++) Assert.Equal((byte)i, again.Read(Image.Tables + (i * 8), 1)[0]);
    }

    [Fact]
    public void Missing_record_in_the_chain_is_an_error_and_changes_nothing()
    {
        using var image = new Image();
        for (int i = 1; i <= 5; i++) image.Commit(Image.Tables, Image.Filled(8, i));
        byte[] state = image.Medium.Copy();
        state[Image.Region + (2 * 4096) + 80] ^= 1;
        AssertRefused("SP3102", state, "record 3 is missing though record 5 needs it");
    }

    [Fact]
    public void Damaged_last_record_is_the_end()
    {
        using var image = new Image();
        for (int i = 1; i <= 5; i++) image.Commit(Image.Tables, Image.Filled(8, i));
        byte[] state = image.Medium.Copy();
        state[Image.Region + (4 * 4096) + 75] ^= 1;
        using var again = new Image(new RecordingMedium(state));
        Assert.Equal(Image.Filled(8, 4), again.Read(Image.Tables, 8));
    }

    [Fact]
    public void After_image_outside_homes_is_an_error_and_changes_nothing()
    {
        using var image = new Image();
        image.Commit(Image.Tables, Image.Filled(8, 1));
        image.Commit(Image.Region + 8, Image.Filled(8, 1));
        AssertRefused("SP3103", image.Medium.Copy(), "record 2 writes where no replay may write");
    }

    [Fact]
    public void Records_of_another_image_are_not_replayed()
    {
        using var other = new Image();
        other.Commit(Image.Tables, Image.Filled(8, 1));
        using var image = new Image();
        byte[] state = image.Medium.Copy();
        other.Medium.Copy().AsSpan(Image.Region, Image.RegionLength).CopyTo(state.AsSpan(Image.Region));
        using var again = new Image(new RecordingMedium(state));
        Assert.True(again.Report!.WasClean);
        Assert.Equal(new byte[8], again.Read(Image.Tables, 8));
    }

    [Fact]
    public void Records_of_an_earlier_session_or_lap_are_not_replayed()
    {
        using var image = new Image();
        for (int i = 0; i < 150; i++) image.Commit(Image.Tables + (i * 8), Image.Filled(8, i + 1));
        image.Session.Close();
        image.Medium.Write(Image.Tables, new byte[Image.TablesLength], ContentClass.Map);
        using Image again = image.Reopen();
        Assert.True(again.Report!.WasClean);
        again.Commit(Image.Tables, Image.Filled(8, 99));
        using Image third = again.Reopen();
        Assert.Equal(1, third.Report!.TransactionsReplayed);
        Assert.Equal(new byte[Image.TablesLength - 8], third.Read(Image.Tables + 8, Image.TablesLength - 8));
    }

    [Fact]
    public void Transaction_beyond_what_a_record_holds_is_refused_and_the_next_one_works()
    {
        using var image = new Image();
        Assert.Throws<StorageException>(() => image.Commit(Image.Data, new byte[200_000]));
        image.Commit(Image.Tables, Image.Filled(8, 1));
        Assert.Equal(new byte[8], image.Read(Image.Data, 8));
        Assert.Equal(Image.Filled(8, 1), image.Read(Image.Tables, 8));
    }

    [Fact]
    public void Image_without_a_mark_is_refused()
    {
        DiagnosticException e = Assert.Throws<DiagnosticException>(() => new JournalSession(new PlainSite(), new RecordingMedium([]), null!, Image.Settings, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance));
        Assert.Equal("SP3107", e.Code);
    }

    private static void AssertRefused(string code, byte[] state, string part)
    {
        var medium = new RecordingMedium(state);
        using var again = new Image(medium, start: false);
        DiagnosticException e = Assert.Throws<DiagnosticException>(again.Session.Recover);
        Assert.Equal(code, e.Code);
        Assert.Contains(part, e.Message, StringComparison.Ordinal);
        Assert.Empty(medium.Events);
    }

    private static void FailRecords(string operation, long offset, int length, ContentClass content)
    {
        if (content == ContentClass.JournalRecord) throw new StorageException(StorageError.NoSpace, operation, "memory", offset, length, "test");
    }

    private static void Append(RegionLog log, RecordIdentity identity, long position, uint attempt, int value)
    {
        var builder = new RecordBuilder(log.HeaderBytes, log.Alignment, 8192);
        Image.Filled(8, value).CopyTo(builder.Add(EntryKind.Image, Image.Tables, 8));
        log.Append(position, new RecordHeader(identity, 1, 1, attempt, 0, builder.PayloadLength), builder.Frame);
    }

    private sealed class PlainSite : IJournalSite
    {
        public string ImageName => "image";

        public Guid ImageId => Guid.Empty;

        public ulong Epoch => 0;

        public bool IsReadOnly => false;

        public bool IsHome(long offset, long length) => true;

        public T? GetCapability<T>() where T : class => null;
    }
}
