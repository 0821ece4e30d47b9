using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.PmJournal.Session;
using StoragePlugins.PmJournal.Tests.Ring;

namespace StoragePlugins.PmJournal.Tests.Session;

/// <summary>
/// A guest and a format on top of a session: short and long writes that overlap, transactions over scattered words, flushes. Each crash state is recovered, at
/// times with a second crash within, and compared: a sector has its last acknowledged content or a later one, the words are those after one transaction.
/// </summary>
internal sealed class SessionWorkload
{
    private const int Sectors = 64;
    private const int Words = 40;
    private const int WordsOffset = Sectors * CrashHome.Sector;
    private const int WordStride = 200; // so that words share sectors with each other, and some straddle two

    private readonly CrashMemory _memory;
    private readonly MarkedSite _site = new("image");
    private readonly Random _random;
    private readonly int _statesPerMoment;
    private readonly bool _hasLongWrites;
    private readonly PmSession _session;
    private readonly List<ulong>[] _history = [.. Enumerable.Range(0, Sectors).Select(_ => new List<ulong> { 0 })];
    private readonly int[] _acknowledged = new int[Sectors];
    private readonly List<ulong[]> _transactions = [new ulong[Words]];
    private int _acknowledgedTransactions;
    private ulong _version;

    public SessionWorkload(CrashMemory memory, Random random, int statesPerMoment)
    {
        (_memory, _random, _statesPerMoment) = (memory, random, statesPerMoment);
        // Without them no flush comes but from a full ring.
        _hasLongWrites = random.Next(2) == 0;
        Home = new CrashHome(new byte[WordsOffset + (Words * WordStride) + CrashHome.Sector]);
        _session = Open(_site, Home, memory);
        _session.Recover();
        _session.Start();
    }

    public CrashHome Home { get; }

    public string? Failure { get; private set; }

    public int States { get; private set; }

    public void Run(int operations)
    {
        Home.Settle();
        _memory.SettleAll();
        Home.Moment = _memory.BeforeFence = LookAt;
        for (int i = 0; i < operations && Failure is null; i++)
        {
            switch (_random.Next(10))
            {
                case < 4:
                    Write(_random.Next(1, 3));
                    break;
                case < 6 when _hasLongWrites:
                    Write(_random.Next(9, 20));
                    break;
                default:
                    Commit();
                    break;
            }

            LookAt();
        }
    }

    private void Write(int sectors)
    {
        int first = _random.Next(Sectors - sectors);
        byte[] data = new byte[sectors * CrashHome.Sector];
        ulong version = ++_version;
        for (int i = 0; i < data.Length; i += 8) BitConverter.TryWriteBytes(data.AsSpan(i), version);
        for (int sector = first; sector < first + sectors; sector++) _history[sector].Add(version);
        _session.Home.Write(first * CrashHome.Sector, data, ContentClass.GuestData);
    }

    private void Commit()
    {
        var transaction = new MetadataTransaction();
        ulong[] words = [.. _transactions[^1]];
        for (int i = _random.Next(6); i > 0; i--)
        {
            int word = _random.Next(Words);
            words[word] = (ulong)_transactions.Count;
            transaction.Add(_random.Next(3), ContentClass.Map, WordsOffset + (word * WordStride), BitConverter.GetBytes(words[word]));
        }

        if (transaction.Count > 0) _transactions.Add(words);
        int[] written = [.. _history.Select(history => history.Count - 1)];
        _session.Commit(transaction, _random.Next(4) == 0 ? CommitGoal.Ordered : CommitGoal.Durable);
        written.CopyTo(_acknowledged, 0);
        _acknowledgedTransactions = _transactions.Count - 1;
    }

    private void LookAt()
    {
        for (int i = 0; i < _statesPerMoment && Failure is null; i++) Check(Home.Crash(_random), _memory.Crash(_random));
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever a recovery throws is a finding.")]
    private void Check(byte[] home, byte[] memory)
    {
        States++;
        try
        {
            var left = new CrashHome(home);
            byte[]? within = null;
            int moment = 0, crashAt = _random.Next(12);
            left.Moment = () =>
            {
                if (moment++ == crashAt) within = left.Crash(_random);
            };
            using (PmSession session = Open(_site.Reopened(), left, new CrashMemory([.. memory], _memory.Domain))) session.Recover();
            byte[] recovered = left.Crash(new Random(0));
            Failure = Compare(recovered);
            if (Failure is not null || within is null) return;
            left = new CrashHome(within);
            using (PmSession session = Open(_site.Reopened(), left, new CrashMemory([.. memory], _memory.Domain))) session.Recover();
            Failure = left.Crash(new Random(0)).AsSpan().SequenceEqual(recovered) ? null : "a crash within the recovery changed its result";
        }
        catch (Exception exception)
        {
            Failure = exception.Message;
        }
    }

    private string? Compare(byte[] image)
    {
        for (int sector = 0; sector < Sectors; sector++)
        {
            ulong version = BitConverter.ToUInt64(image, sector * CrashHome.Sector);
            for (int i = 8; i < CrashHome.Sector; i += 8)
            {
                if (BitConverter.ToUInt64(image, (sector * CrashHome.Sector) + i) != version) return $"sector {sector} is a mixture";
            }

            int place = _history[sector].LastIndexOf(version);
            if (place < _acknowledged[sector]) return $"sector {sector} has version {version}, and {_history[sector][_acknowledged[sector]]} was acknowledged";
        }

        ulong[] words = [.. Enumerable.Range(0, Words).Select(word => BitConverter.ToUInt64(image, WordsOffset + (word * WordStride)))];
        int state = _transactions.FindLastIndex(candidate => candidate.AsSpan().SequenceEqual(words));
        if (state < 0) return "the words are of no transaction";
        return state < _acknowledgedTransactions ? $"transaction {state} is there, {_acknowledgedTransactions} was acknowledged" : null;
    }

    private static PmSession Open(MarkedSite site, CrashHome home, CrashMemory memory) => new(
        site, home, new StrategyContext(new PmJournalOptions { MaxInline = 4096, LeastRegionBytes = 0 }, new StorageMeter(), NullLogger.Instance, _ => new MemoryRegion(memory)));
}
