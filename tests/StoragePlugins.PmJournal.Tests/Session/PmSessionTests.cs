using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.PmJournal.Region;
using StoragePlugins.PmJournal.Ring;
using StoragePlugins.PmJournal.Session;
using StoragePlugins.PmJournal.Tests.Ring;

namespace StoragePlugins.PmJournal.Tests.Session;

public sealed class PmSessionTests : IDisposable
{
    private const int RegionBytes = RegionHeader.AreaBytes + (256 << 10);
    private const int Data = 0;
    private const int Table = 600_000;

    private readonly CrashMemory _memory = new(RegionBytes, PersistenceDomain.Adr);
    private readonly CrashHome _home = new(new byte[1 << 20]);
    private readonly StorageMeter _meter = new();
    private readonly MetadataTransaction _transaction = new();
    private readonly MarkedSite _site = new("image");
    private readonly PmSession _session;

    public PmSessionTests()
    {
        _session = Open(_site, _home);
        _session.Recover();
        _session.Start();
        // The first flush always runs: an earlier process may have left something behind.
        _session.Home.Flush();
    }

    public void Dispose() => _session.Dispose();

    [Fact]
    public void Short_writes_and_metadata_cost_no_flush()
    {
        int before = _home.Flushes;
        for (int i = 0; i < 20; i++)
        {
            _session.Home.Write(Data + (i * 4096), new byte[4096], ContentClass.GuestData);
            Map(i);
            Commit();
        }

        Assert.Equal(before, _home.Flushes);
    }

    [Fact]
    public void Gauge_counts_what_the_ring_holds_until_a_flush_empties_it()
    {
        Assert.Equal((true, 0, 0), Gauge());
        for (int i = 0; i < 3; i++)
        {
            Map(i);
            Commit();
        }

        Assert.Equal((true, 3 * PmRing.LineBytes, 3), Gauge());
        Assert.True(_meter.Journal.Read().OldestPending > TimeSpan.Zero);

        // Long data wants a flush before its record, which covers all images written home so far.
        _session.Home.Write(Data, new byte[65536], ContentClass.GuestData);
        Map(4);
        Commit();
        Assert.Equal((true, PmRing.LineBytes, 1), Gauge());
        _session.Close();
        Assert.Equal((false, 0, 0), Gauge());

        (bool IsPresent, long Used, long Pending) Gauge() => _meter.Journal.Read() is var journal ? (journal.IsPresent, journal.UsedBytes, journal.PendingTransactions) : default;
    }

    [Fact]
    public void Long_write_costs_one_flush_with_its_metadata()
    {
        for (int i = 0; i < 20; i++)
        {
            int before = _home.Flushes;
            _session.Home.Write(Data, new byte[65536], ContentClass.GuestData);
            Map(i);
            Commit();
            Assert.Equal(before + 1, _home.Flushes);
        }
    }

    [Fact]
    public void Flush_with_nothing_new_costs_nothing()
    {
        int before = _home.Flushes;
        _session.Home.Flush();
        _session.Home.Barrier();
        Assert.Equal(before, _home.Flushes);
        Assert.Equal(0, _meter.Read().HostWritesByClass[(int)ContentClass.JournalRecord]);
    }

    [Fact]
    public void Allocation_of_one_cluster_is_one_cache_line()
    {
        _transaction.Add(0, ContentClass.Allocation, 131_072, [0, 1]);
        _transaction.Add(1, ContentClass.Map, Table, [0x80, 0, 0, 0, 0, 5, 0, 0]);
        Commit();
        Assert.Equal(PmRing.LineBytes, _meter.Read().HostBytesByClass[(int)ContentClass.JournalRecord]);
    }

    [Fact]
    public void Images_are_read_when_the_commit_returns()
    {
        _transaction.Add(1, ContentClass.Map, Table, [1, 2, 3]);
        Commit();
        byte[] read = new byte[3];
        _session.Home.Read(Table, read);
        Assert.Equal([1, 2, 3], read);
    }

    [Fact]
    public void Full_ring_costs_one_flush_and_goes_on()
    {
        int before = _home.Flushes;
        for (int i = 0; i < 1000; i++)
        {
            _session.Home.Write(Data, new byte[4096], ContentClass.GuestData);
            _session.Home.Flush();
        }

        Assert.InRange(_home.Flushes - before, 1, 1000 * 4096 / (RegionBytes / 2));
    }

    [Fact]
    public void More_short_writes_than_are_kept_cost_one_flush()
    {
        int before = _home.Flushes;
        for (int i = 0; i < 100; i++) _session.Home.Write(Data + (i * 4096), new byte[4096], ContentClass.GuestData);
        _session.Home.Flush();
        Assert.Equal(before + 1, _home.Flushes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Committed_bytes_that_did_not_reach_home_are_replayed(bool readOnly)
    {
        Lose();
        var home = new CrashHome(new byte[1 << 20]) { IsReadOnly = readOnly };
        using PmSession again = Open(_site.Reopened(readOnly), home);
        RecoveryReport report = again.Recover();
        Assert.False(report.WasClean);
        byte[] read = new byte[10];
        again.Home.Read(Table - 1, read);
        Assert.Equal([0, 9, 9, 9, 9, 9, 9, 9, 9, 0], read);
        again.Home.Read(Data + 100, read.AsSpan(0, 2));
        Assert.Equal([7, 7], read[..2]);
        Assert.Equal(readOnly ? 0 : 2, home.Writes.Count);
        if (readOnly) Assert.Throws<StorageException>(() => again.Home.Write(0, [1], ContentClass.GuestData));
    }

    [Fact]
    public void Replay_of_part_of_a_sector_never_mixes_with_a_later_unflushed_write()
    {
        byte[] later = Enumerable.Repeat((byte)8, 512).ToArray();
        // Acknowledged in a record; then a whole sector over it that reaches the disk and is in no record.
        _session.Home.Write(Data + 100, [7, 7], ContentClass.GuestData);
        Commit();
        byte[] after = new byte[1 << 20];
        later.CopyTo(after.AsSpan((int)Data));
        var home = new CrashHome(after);
        using PmSession again = Open(_site.Reopened(), home);
        again.Recover();
        byte[] read = new byte[512];
        again.Home.Read(Data, read);
        byte[] earlier = new byte[512];
        earlier.AsSpan(100, 2).Fill(7);
        Assert.True(read.AsSpan().SequenceEqual(earlier) || read.AsSpan().SequenceEqual(later), "the sector is a mixture");
    }

    [Fact]
    public void Record_with_flipped_bits_is_damage_and_nothing_is_written()
    {
        // Long, so that it is marked: of a single line a wrong checksum can be a crash.
        _session.Home.Write(Data, Enumerable.Repeat((byte)7, 4096).ToArray(), ContentClass.GuestData);
        Commit();
        _memory.Store(RegionHeader.AreaBytes + (3 * PmRing.LineBytes), [0xff]);
        AssertDamaged();
    }

    [Fact]
    public void Record_missing_before_a_later_one_is_damage_and_nothing_is_written()
    {
        for (int i = 0; i < 3; i++)
        {
            Map(i);
            Commit();
        }

        _memory.Store(RegionHeader.AreaBytes + (3 * PmRing.LineBytes), [0xff]);
        Assert.Contains("record 2 is missing though record 3 is there", AssertDamaged().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void After_image_where_a_replay_must_not_write_is_damage()
    {
        Lose();
        MarkedSite site = _site.Reopened();
        var home = new CrashHome(new byte[1 << 20]);
        using PmSession again = Open(new WithoutHome(site), home);
        Assert.Equal("SP3141", Assert.Throws<DiagnosticException>(() => again.Recover()).Code);
        Assert.Empty(home.Writes);
    }

    [Fact]
    public void Image_that_cannot_be_written_home_is_written_by_the_next_commit()
    {
        _home.BeforeWrite = (_, content) =>
        {
            if (content == ContentClass.Checkpoint) throw new StorageException(StorageError.NoSpace, "write", "home", 0, 0, "test");
        };
        _transaction.Add(1, ContentClass.Map, Table, [1]);
        Assert.Throws<StorageException>(Commit);
        Assert.Throws<StorageException>(_session.Home.Flush);
        _home.BeforeWrite = null;
        _session.Home.Flush();
        byte[] read = new byte[1];
        _session.Home.Read(Table, read);
        Assert.Equal(1, read[0]);
    }

    [Fact]
    public void Failed_flush_is_final_and_what_was_acknowledged_before_is_recovered()
    {
        Lose();
        _home.FailsFlushes = true;
        _session.Home.Write(Data, new byte[65536], ContentClass.GuestData);
        Assert.Throws<DurabilityLostException>(_session.Home.Flush);
        _home.FailsFlushes = false;
        Assert.Throws<DurabilityLostException>(_session.Home.Flush);
        Assert.Throws<DurabilityLostException>(() => _session.Home.Write(Data, [1], ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(_session.Close);
        using PmSession again = Open(_site.Reopened(), new CrashHome(new byte[1 << 20]));
        Assert.Equal(1, again.Recover().TransactionsReplayed);
    }

    [Fact]
    public void Transaction_larger_than_the_ring_is_refused_and_the_session_goes_on()
    {
        _transaction.Add(0, ContentClass.Map, 0, new byte[RegionBytes]);
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(Commit).Error);
        _transaction.Clear();
        Map(1);
        Commit();
    }

    [Fact]
    public void Largest_promised_transaction_fits_whatever_its_images_are()
    {
        for (int i = 0; i < 3; i++)
        {
            _transaction.Clear();
            for (int k = 0; k < _session.MaxTransactionBytes; k++) _transaction.Add(0, ContentClass.Allocation, 900_000 + (2 * k % 100_000), [1]);
            Commit();
        }
    }

    [Fact]
    public void Failure_to_clear_the_mark_is_final_for_the_session()
    {
        _home.FailsFlushes = true;
        _session.Home.Write(Data, new byte[65536], ContentClass.GuestData);
        Assert.Throws<DurabilityLostException>(_session.Close);
        _home.FailsFlushes = false;
        Assert.Throws<DurabilityLostException>(_session.Home.Flush);
    }

    [Fact]
    public void Clean_close_leaves_nothing_to_recover()
    {
        Lose();
        _session.Close();
        Assert.Null(_site.Payload);
        using PmSession again = Open(_site.Reopened(), new CrashHome(new byte[1 << 20]));
        Assert.True(again.Recover().WasClean);
    }

    [Fact]
    public void Concurrent_writers_and_commits_leave_home_and_journal_of_one_mind()
    {
        const int threads = 4, rounds = 2000;
        Task[] writers = [.. Enumerable.Range(0, threads).Select(thread => Task.Run(() =>
        {
            byte[] data = new byte[1024];
            var random = new Random(thread);
            for (int i = 0; i < rounds; i++)
            {
                random.NextBytes(data);
                _session.Home.Write(Data + (random.Next(16) * 512), data, ContentClass.GuestData);
                if (i % 7 == 0) _session.Home.Flush();
            }
        }))];
        Task.WaitAll(writers);
        _session.Home.Flush();
        byte[] read = new byte[17 * 512], replayed = new byte[17 * 512];
        _session.Home.Read(Data, read);
        // Whatever was flushed last, the records since then show the same.
        using PmSession again = Open(_site.Reopened(), _home);
        again.Recover();
        again.Home.Read(Data, replayed);
        Assert.Equal(read, replayed);
    }

    // One record with a guest write and a word, of which nothing reaches the disk.
    private void Lose()
    {
        _session.Home.Write(Data + 100, [7, 7], ContentClass.GuestData);
        _transaction.Add(1, ContentClass.Map, Table, Enumerable.Repeat((byte)9, 8).ToArray());
        Commit();
        _transaction.Clear();
    }

    private DiagnosticException AssertDamaged()
    {
        var home = new CrashHome(new byte[1 << 20]);
        using PmSession again = Open(_site.Reopened(), home);
        DiagnosticException damage = Assert.Throws<DiagnosticException>(() => again.Recover());
        Assert.Equal("SP3141", damage.Code);
        Assert.Empty(home.Writes);
        return damage;
    }

    private void Map(int i)
    {
        _transaction.Clear();
        _transaction.Add(1, ContentClass.Map, Table + (i * 8), BitConverter.GetBytes((long)i + 1));
    }

    private void Commit() => _session.Commit(_transaction, CommitGoal.Durable);

    private PmSession Open(IJournalSite site, CrashHome home) => new(
        site, home, new StrategyContext(new PmJournalOptions { LeastRegionBytes = 0 }, _meter, NullLogger.Instance, _ => new MemoryRegion(_memory)));

    private sealed class WithoutHome(IJournalSite site) : IJournalSite
    {
        public string ImageName => site.ImageName;

        public Guid ImageId => site.ImageId;

        public ulong Epoch => site.Epoch;

        public bool IsReadOnly => false;

        public bool IsHome(long offset, long length) => offset != Table;

        public T? GetCapability<T>() where T : class => site.GetCapability<T>();
    }
}
