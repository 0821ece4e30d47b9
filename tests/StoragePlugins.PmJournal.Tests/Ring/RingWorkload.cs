using System.Diagnostics.CodeAnalysis;
using StoragePlugins.PmJournal.Ring;

namespace StoragePlugins.PmJournal.Tests.Ring;

/// <summary>Appends records and moves the tail, and after each crash state asks whether the ring holds what it acknowledged.</summary>
internal sealed class RingWorkload(CrashMemory memory, RecordSeal seal)
{
    private readonly PmRing _ring = new(memory, 0, memory.Length, seal, memory.Domain == PersistenceDomain.Msync);
    private readonly List<(byte[] Content, long Position)> _records = [];
    private int _acknowledged, _tail, _tailInFlight;

    /// <summary>What the first bad state was; null while there is none.</summary>
    public string? Failure { get; private set; }

    public int States { get; private set; }

    /// <summary>Runs operations, looking at crash states at every fence and after every operation.</summary>
    public void Run(int operations, Random random, int statesPerMoment)
    {
        _ring.Initialize(1);
        memory.SettleAll();
        memory.BeforeFence = () => LookAt(random, statesPerMoment);
        for (int i = 0; i < operations && Failure is null; i++)
        {
            byte[] content = new byte[random.Next(3) switch { 0 => random.Next(PmRing.LineContentBytes + 1), 1 => random.Next(200), _ => random.Next(1, 900) }];
            random.NextBytes(content);
            while (!_ring.HasRoom(content.Length)) MoveTail(random);
            if (_records.Count > _tail && random.Next(5) == 0) MoveTail(random);
            _records.Add((content, 0));
            _records[^1] = (content, _ring.Append(content));
            _acknowledged = _records.Count;
            LookAt(random, statesPerMoment);
        }
    }

    /// <summary>One operation whose every crash state is looked at.</summary>
    public void RunExhaustively(byte[] content)
    {
        _ring.Initialize(1);
        memory.SettleAll();
        memory.BeforeFence = LookAtAll;
        _records.Add((content, 0));
        _ring.Append(content);
        _acknowledged = 1;
        LookAtAll();
    }

    private void MoveTail(Random random)
    {
        int to = Math.Min(_records.Count, _tail + 1 + random.Next(3));
        _tailInFlight = to;
        _ring.MoveTail((ulong)to + 1, to < _records.Count ? _records[to].Position : _ring.Head);
        _tail = to;
    }

    private void LookAt(Random random, int states)
    {
        for (int i = 0; i < states; i++) Check(memory.Crash(random));
    }

    private void LookAtAll()
    {
        Assert.True(memory.PendingWords <= 16, "too many states to look at");
        for (int state = 0; state < 1 << memory.PendingWords; state++) Check(memory.Crash(word => (state >> word & 1) != 0));
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever a recovery throws is a finding.")]
    private void Check(byte[] left)
    {
        States++;
        if (Failure is not null) return;
        var found = new List<(ulong Transaction, byte[] Content)>();
        string? damage;
        try
        {
            var ring = new PmRing(new CrashMemory(left, memory.Domain), 0, left.Length, seal, memory.Domain == PersistenceDomain.Msync);
            damage = ring.Scan((transaction, _, content) => found.Add((transaction, content.ToArray())));
        }
        catch (Exception exception)
        {
            damage = exception.Message;
        }

        Failure = damage ?? Compare(found);
    }

    private string? Compare(List<(ulong Transaction, byte[] Content)> found)
    {
        int first = found.Count > 0 ? (int)found[0].Transaction - 1 : -1;
        if (found.Count == 0) return _tail == _acknowledged || _tailInFlight == _acknowledged ? null : $"records {_tail + 1} to {_acknowledged} are lost";
        if (first != _tail && first != _tailInFlight) return $"the oldest record is {first + 1}, the tail is at {_tail + 1}";
        for (int i = 0; i < found.Count; i++)
        {
            if (first + i >= _records.Count) return $"record {first + i + 1} was never written";
            if (!_records[first + i].Content.AsSpan().SequenceEqual(found[i].Content)) return $"record {first + i + 1} has other bytes than were committed";
        }

        return first + found.Count < _acknowledged ? $"record {first + found.Count + 1} was acknowledged and is lost" : null;
    }
}
