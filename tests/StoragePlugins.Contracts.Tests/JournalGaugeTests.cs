using System.Diagnostics;

namespace StoragePlugins.Tests;

public sealed class JournalGaugeTests
{
    [Fact]
    public void Journal_that_sets_nothing_is_none()
    {
        Assert.False(new StorageMeter().Read().Journal.IsPresent);
        Assert.Equal(default, new JournalGauge().Read());
    }

    [Fact]
    public void Reading_has_what_was_set_last_and_the_age_of_the_oldest()
    {
        var meter = new StorageMeter();
        meter.Journal.Set(100, 60, 5, Stopwatch.GetTimestamp() - (3 * Stopwatch.Frequency));
        JournalReading journal = meter.Read().Journal;
        Assert.Equal((true, 100, 60, 5), (journal.IsPresent, journal.CapacityBytes, journal.UsedBytes, journal.PendingTransactions));
        Assert.InRange(journal.OldestPending.TotalSeconds, 3, 30);
    }

    [Fact]
    public void Nothing_pending_has_no_age()
    {
        var gauge = new JournalGauge();
        gauge.Set(100, 60, 0, 12345);
        Assert.Equal(TimeSpan.Zero, gauge.Read().OldestPending);
        gauge.Clear();
        Assert.False(gauge.Read().IsPresent);
    }

    [Fact]
    public void Discards_and_zeroings_are_writes_too_and_can_be_told_apart()
    {
        var meter = new StorageMeter();
        meter.CountGuestWrite(10);
        meter.CountGuestDiscard(200);
        meter.CountGuestZeroing(3000);
        MeterReading m = meter.Read();
        Assert.Equal((3, 3210, 1, 200, 1, 3000), (m.GuestWrites, m.GuestWrittenBytes, m.GuestDiscards, m.GuestDiscardedBytes, m.GuestZeroings, m.GuestZeroedBytes));
    }
}
