using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

/// <summary>What a session shows of its log (<see cref="JournalGauge"/>).</summary>
public sealed class GaugeTests : IDisposable
{
    private readonly JournalGauge _gauge = new();
    private readonly RecordingMedium _medium = new(new byte[Image.Data + Image.DataLength]);
    private readonly MarkedSite _site;
    private readonly JournalSession _session;
    private readonly MetadataTransaction _transaction = new();

    public GaugeTests()
    {
        _site = new MarkedSite(_medium, Image.Place);
        _session = new JournalSession(_site, _medium, new RegionSource(_site, _medium), Image.Settings, NullLogger.Instance, _gauge);
        _session.Recover();
    }

    public void Dispose() => _session.Dispose();

    [Fact]
    public void Log_shows_from_start_to_close()
    {
        Assert.False(_gauge.Read().IsPresent);
        _session.Start();
        Assert.Equal((Image.RegionLength, 0, 0), Figures());
        _session.Close();
        Assert.False(_gauge.Read().IsPresent);
    }

    [Fact]
    public void Each_commit_adds_a_transaction_and_its_blocks()
    {
        _session.Start();
        for (int i = 1; i <= 3; i++)
        {
            Commit(i);
            Assert.Equal((Image.RegionLength, i * RegionLog.BlockBytes, i), Figures());
        }

        TimeSpan age = _gauge.Read().OldestPending;
        Assert.True(age > TimeSpan.Zero);
        Thread.Sleep(5);
        Assert.True(_gauge.Read().OldestPending > age, "the oldest grows older");
    }

    [Fact]
    public void Checkpoint_frees_what_the_next_commit_finds_home()
    {
        _session.Start();
        for (int i = 0; i < 500; i++) Commit(i);
        JournalReading now = _gauge.Read();
        // 500 records of a block each do not fit the log: it was emptied on the way.
        Assert.InRange(now.PendingTransactions, 1, Image.RegionLength / RegionLog.BlockBytes);
        Assert.InRange(now.UsedBytes, RegionLog.BlockBytes, Image.RegionLength);
        Assert.True(_session.Statistics.Checkpoints > 0);
    }

    [Fact]
    public void Session_that_is_let_go_of_without_a_close_shows_nothing()
    {
        _session.Start();
        Commit(1);
        _session.Dispose();
        Assert.False(_gauge.Read().IsPresent);
    }

    private (long Capacity, long Used, long Pending) Figures() => _gauge.Read() is var journal ? (journal.CapacityBytes, journal.UsedBytes, journal.PendingTransactions) : default;

    private void Commit(int value)
    {
        _transaction.Clear();
        _transaction.Add(2, ContentClass.Map, value % 1000 * 8, Image.Filled(8, value));
        _session.Commit(_transaction, CommitGoal.Durable);
    }
}
