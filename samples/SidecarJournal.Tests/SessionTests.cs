using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Media;
using Xunit;

namespace Samples.SidecarJournal.Tests;

/// <summary>What random workloads meet too rarely: each of these once went wrong, or would without a line that is there.</summary>
public sealed class SessionTests
{
    private const int Metadata = 8192;

    private readonly Machine _machine = new(new byte[64 << 10]);
    private readonly MarkedSite _site = new(Machine.ImageName);

    [Fact]
    public void Replay_does_not_undo_a_later_write_to_freed_metadata()
    {
        using (IJournalSession session = Open(_site))
        {
            Begin(session);
            Commit(session, Metadata, [1, 1, 1, 1]);
            session.Home.Write(Metadata, [2, 2, 2, 2], ContentClass.GuestData);
            session.Home.Flush();
        }

        Assert.Equal([2, 2, 2, 2], ReadAfterRecovery());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Replay_does_not_undo_later_zeroes_or_a_cut(bool zeroes)
    {
        using (IJournalSession session = Open(_site))
        {
            Begin(session);
            Commit(session, Metadata, [1, 1, 1, 1]);
            if (zeroes) session.Home.GetCapability<IDeallocatingMedium>()!.TryZeroRange(Metadata, 4);
            else
            {
                session.Home.SetLength(Metadata);
                session.Home.SetLength(64 << 10);
            }

            session.Home.Flush();
        }

        Assert.Equal([0, 0, 0, 0], ReadAfterRecovery());
    }

    [Theory]
    [InlineData("write")]
    [InlineData("commit")]
    [InlineData("close")]
    public void Log_is_not_emptied_of_a_transaction_whose_way_home_failed(string next)
    {
        var faults = new WriteFails(Metadata);
        using (IJournalSession session = Open(_site, faults: faults))
        {
            Begin(session);
            var transaction = new MetadataTransaction();
            transaction.Add(0, ContentClass.Allocation, 4096, [1]);
            transaction.Add(1, ContentClass.Map, Metadata, [1, 2, 3, 4]);
            faults.IsArmed = true;
            Assert.Throws<StorageException>(() => session.Commit(transaction, CommitGoal.Durable));
            // Each of these empties the log, and is refused while the device still fails.
            Action act = next switch
            {
                "write" => () => session.Home.Write(4096, [7], ContentClass.GuestData),
                "commit" => () => Commit(session, 12288, new byte[SidecarOptions.LeastLogBytes - (3 * 4096)]),
                _ => session.Close,
            };
            Assert.Throws<StorageException>(act);
            faults.IsArmed = false;
            act();
        }

        Assert.Equal([1, 2, 3, 4], ReadAfterRecovery());
    }

    [Fact]
    public void Power_cuts_between_log_and_mark_of_two_sessions_in_a_row_lose_nothing()
    {
        using (IJournalSession session = Open(_site))
        {
            Begin(session);
            Commit(session, Metadata, [1, 2, 3, 4]);
        }

        _site.CutsBeforeSet = true;
        for (int i = 0; i < 2; i++)
        {
            using IJournalSession session = Open(_site);
            session.Recover();
            Assert.Throws<StorageException>(session.Start);
        }

        _site.CutsBeforeSet = false;
        Assert.Equal([1, 2, 3, 4], ReadAfterRecovery());
    }

    [Fact]
    public void Image_in_use_whose_journal_is_missing_or_of_another_moment_is_refused()
    {
        using (IJournalSession session = Open(_site)) Begin(session);
        byte[] older = _site.Mark!;
        using (IJournalSession session = Open(_site)) Begin(session);
        using (IJournalSession session = Open(_site)) Begin(session);
        _site.Mark = older;
        using (IJournalSession session = Open(_site)) Assert.Equal("SIDECAR1009", Assert.Throws<DiagnosticException>(session.Recover).Code);
        using IJournalSession elsewhere = Open(_site, new Machine(new byte[4096]));
        Assert.Equal("SIDECAR1007", Assert.Throws<DiagnosticException>(elsewhere.Recover).Code);
    }

    [Fact]
    public void Broken_record_before_a_whole_one_is_refused_and_a_torn_last_one_is_the_end()
    {
        using (IJournalSession session = Open(_site))
        {
            Begin(session);
            for (byte i = 1; i <= 3; i++) Commit(session, Metadata, [i, i, i, i]);
        }

        DeviceImage log = _machine.Devices[1].Image;
        Damage(log, LogHeader.AreaBytes + (2 * LogRecord.SectorBytes) + 40);
        Assert.Equal(2, Recovered().TransactionsReplayed);
        Damage(log, LogHeader.AreaBytes + (2 * LogRecord.SectorBytes) + 40);
        Assert.Equal(3, Recovered().TransactionsReplayed);
        Damage(log, LogHeader.AreaBytes + LogRecord.SectorBytes + 40);
        using IJournalSession refused = Open(_site);
        Assert.Equal("SIDECAR1004", Assert.Throws<DiagnosticException>(refused.Recover).Code);
    }

    [Fact]
    public void File_that_is_no_journal_is_not_overwritten()
    {
        using (SimulatedMedium other = _machine.Open(new MediumRequest { Location = Machine.ImageName + ".journal", Create = true, OpenInner = () => null! }))
            other.Write(0, "somebody's letters"u8, ContentClass.GuestData);
        using IJournalSession session = Open(_site);
        session.Recover();
        Assert.Equal("SIDECAR1003", Assert.Throws<DiagnosticException>(session.Start).Code);
        byte[] there = new byte[8];
        _machine.Devices[1].Image.Read(0, there);
        Assert.Equal("somebody"u8.ToArray(), there);
    }

    [Fact]
    public void Log_that_fills_is_emptied_and_goes_on()
    {
        using (IJournalSession session = Open(_site))
        {
            Begin(session);
            for (int i = 1; i <= 5000; i++) Commit(session, Metadata + (i % 100 * 4), BitConverter.GetBytes(i));
        }

        Assert.InRange(Recovered().TransactionsReplayed, 1, 512);
        Assert.Equal(BitConverter.GetBytes(5000), ReadAfterRecovery());
    }

    private static void Begin(IJournalSession session)
    {
        session.Recover();
        session.Start();
    }

    private static void Commit(IJournalSession session, long offset, byte[] bytes)
    {
        var transaction = new MetadataTransaction();
        transaction.Add(1, ContentClass.Map, offset, bytes);
        session.Commit(transaction, CommitGoal.Durable);
    }

    private static void Damage(DeviceImage image, long at)
    {
        byte[] one = new byte[1];
        image.Read(at, one);
        image.Write(at, [(byte)(one[0] ^ 1)]);
    }

    private RecoveryReport Recovered()
    {
        using IJournalSession session = Open(_site);
        return session.Recover();
    }

    private byte[] ReadAfterRecovery()
    {
        var reading = new MarkedSite(Machine.ImageName) { IsReadOnly = true, Mark = _site.Mark };
        byte[] shown = new byte[4], replayed = new byte[4];
        using (IJournalSession session = Open(reading))
        {
            session.Recover();
            session.Home.Read(Metadata, shown);
        }

        using (IJournalSession session = Open(_site))
        {
            session.Recover();
            session.Home.Read(Metadata, replayed);
        }

        Assert.Equal(shown, replayed);
        return replayed;
    }

    private IJournalSession Open(MarkedSite site, Machine? machine = null, MediumFaults? faults = null)
    {
        machine ??= _machine;
        var context = new StrategyContext(
            new SidecarOptions { LogSize = SidecarOptions.LeastLogBytes }, new StorageMeter(), NullLogger.Instance, request => machine.Open(request));
        return new SidecarJournal().Open(site, new FlushOrdering().Attach(machine.OpenImage(faults: faults), context), context);
    }

    private sealed class WriteFails(long offset) : MediumFaults
    {
        public bool IsArmed { get; set; }

        public override void BeforeWrite(int device, long at, int length, ContentClass content)
        {
            if (IsArmed && device == 0 && at == offset) throw new StorageException(StorageError.Io, "write", "simulated device", at, length, "injected");
        }
    }
}
