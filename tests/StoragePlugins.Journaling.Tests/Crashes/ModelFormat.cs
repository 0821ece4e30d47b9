using System.Buffers.Binary;
using System.Runtime.InteropServices;
using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests.Crashes;

/// <summary>
/// A format and its guest in small: a root of 8-byte cells, slots that are free, tables or published data, and sectors that are written in place. It
/// knows what each may show after a power cut at any moment.
/// </summary>
internal sealed class ModelFormat
{
    public const int Sector = RecordingMedium.Sector;
    public const int Cells = 512;
    public const int SlotCount = 8;
    public const int SlotBytes = 8192;
    public const int SlotSectors = SlotBytes / Sector;
    public const int Slots = Image.Data;
    public const int GuestSectors = 512;
    public const int Guest = Slots + (SlotCount * SlotBytes);

    /// <summary>Shorter than what the guest writes: the image grows.</summary>
    public const int StartLength = Guest + (GuestSectors * Sector / 2);

    private readonly List<State> _states = [new State { DoneAt = 0 }];
    private readonly List<Write>[] _history = [.. Enumerable.Range(0, (SlotCount * SlotSectors) + GuestSectors).Select(_ => new List<Write> { new(-1, -1, 0) })];
    private readonly List<int> _flushes = [0];
    private readonly List<(int Event, int Sequence)> _barriers = [];
    private readonly MetadataTransaction _transaction = new();
    private readonly byte[] _shown = new byte[(SlotCount * SlotBytes) + (GuestSectors * Sector)];
    private readonly Random _random;
    private int _sequence;
    private uint _stamp;

    public ModelFormat(Random random) => _random = random;

    public enum SlotKind
    {
        Free,
        Data,
        Table,
    }

    /// <summary>Mutants of the format's side: large guest writes go past the journal; published data is said to be over zeros.</summary>
    public bool WritesPastJournal { get; init; }

    public bool PublishesAsZeros { get; init; }

    public int StatesCommitted => _states.Count;

    private State Now => _states[^1];

    public void Step(IJournalSession session, RecordingMedium medium)
    {
        switch (_random.Next(20))
        {
            case < 6:
                WriteGuest(session, medium, 1 + _random.Next(8));
                break;
            case < 9:
                WriteGuest(session, medium, 9 + _random.Next(120));
                break;
            case < 11:
                WriteSlotInPlace(session, medium);
                break;
            case < 17:
                Commit(session, medium, _random.Next(3) == 0 ? CommitGoal.Ordered : CommitGoal.Durable);
                break;
            case 17:
                session.Home.Barrier();
                _barriers.Add((medium.Events.Count, _sequence++));
                break;
            case 18:
                session.Checkpoint();
                break;
            default:
                session.Home.Flush();
                Flushed(medium);
                break;
        }
    }

    /// <summary>Everything so far is durable.</summary>
    public void Flushed(RecordingMedium medium)
    {
        if (Now.DoneAt < 0) Now.DoneAt = medium.Events.Count;
        _flushes.Add(medium.Events.Count);
        _barriers.Add((medium.Events.Count, _sequence++));
    }

    /// <summary>The process died and the image was recovered: what is there now is what there is.</summary>
    public void Settle(IStorageMedium home, RecordingMedium medium)
    {
        Load(home);
        byte[] root = ReadFully(home, Image.Tables, Cells * 8);
        _states.Add(_states.Last(s => s.Root[0] == BinaryPrimitives.ReadInt64LittleEndian(root)).Clone(medium.Events.Count, _sequence++));
        for (int i = 0; i < _history.Length; i++)
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(_shown.AsSpan(i * Sector));
            _history[i].Add(new Write(medium.Events.Count, _sequence, (uint)(word >> 32)));
        }

        _sequence++;
        Flushed(medium);
    }

    /// <summary>Judges an image that has been recovered.</summary>
    public void Judge(IStorageMedium home, int cut, string where)
    {
        Load(home);
        byte[] root = ReadFully(home, Image.Tables, Cells * 8);
        long number = BinaryPrimitives.ReadInt64LittleEndian(root);
        int durable = _flushes.Last(f => f <= cut);
        State? shown = _states.LastOrDefault(s => s.Root[0] == number && s.Event <= cut);
        Assert.True(shown is not null, $"{where}: transaction {number} shows before it was committed");
        int oldest = _states.FindLastIndex(s => s.DoneAt <= durable && s.DoneAt >= 0);
        Assert.True(_states.LastIndexOf(shown) >= oldest, $"{where}: transaction {number} shows, {_states[Math.Max(oldest, 0)].Root[0]} was durable");
        Assert.True(MemoryMarshal.Cast<byte, long>(root).SequenceEqual(shown.Root), $"{where}: the root is not that of transaction {number}");

        int newest = shown.Sequence;
        var seen = new int[_history.Length];
        for (int i = 0; i < _history.Length; i++)
        {
            int slot = i / SlotSectors;
            seen[i] = int.MaxValue;
            if (slot < SlotCount && shown.Kinds[slot] != SlotKind.Data) continue;
            seen[i] = JudgeSector(i, cut, durable, slot < SlotCount ? shown.DataStamps[slot] : 0, where);
            newest = Math.Max(newest, _history[i][seen[i]].Sequence);
        }

        for (int slot = 0; slot < SlotCount; slot++)
        {
            if (shown.Kinds[slot] != SlotKind.Table) continue;
            Assert.True(_shown.AsSpan(slot * SlotBytes, SlotBytes).SequenceEqual(shown.TableBytes[slot]), $"{where}: table {slot} is not that of transaction {number}");
        }

        JudgeOrder(shown, seen, newest, cut, where);
    }

    private void Load(IStorageMedium home)
    {
        _shown.AsSpan().Clear();
        _ = home.Read(Slots, _shown);
    }

    private static byte[] ReadFully(IStorageMedium home, long offset, int length)
    {
        byte[] bytes = new byte[length];
        _ = home.Read(offset, bytes);
        return bytes;
    }

    private static void Fill(Span<byte> sectors, int first, uint stamp)
    {
        for (int s = 0; s < sectors.Length / Sector; s++)
            MemoryMarshal.Cast<byte, ulong>(sectors.Slice(s * Sector, Sector)).Fill(((ulong)stamp << 32) | (uint)(first + s));
    }

    private int JudgeSector(int index, int cut, int durable, uint published, string where)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(_shown.AsSpan(index * Sector, Sector));
        ulong word = words[0];
        Assert.True(words.IndexOfAnyExcept(word) < 0, $"{where}: sector {index} is torn");
        Assert.True(word == 0 || (uint)word == index, $"{where}: sector {index} shows sector {(uint)word}");
        uint stamp = (uint)(word >> 32);
        List<Write> history = _history[index];
        int least = history.FindLastIndex(w => w.Event < durable);
        if (published != 0) least = Math.Max(least, history.FindIndex(w => w.Stamp == published));
        int found = history.FindLastIndex(w => w.Event <= cut && w.Stamp == stamp);
        Assert.True(found >= Math.Max(0, least), $"{where}: sector {index} shows stamp {stamp} (write {found}), write {least} of {history.Count} or later was due; flushed at {durable}");
        return found;
    }

    /// <summary>Whoever shows something from after a barrier shows everything from before it.</summary>
    private void JudgeOrder(State shown, int[] seen, int newest, int cut, string where)
    {
        (int Event, int Sequence) barrier = _barriers.LastOrDefault(b => b.Sequence < newest && b.Event <= cut, (Event: -1, Sequence: -1));
        if (barrier.Sequence < 0) return;
        State due = _states.Last(s => s.Sequence < barrier.Sequence);
        Assert.True(shown.Sequence >= due.Sequence, $"{where}: something from after a barrier shows, transaction {due.Root[0]} from before it does not");
        for (int i = 0; i < seen.Length; i++)
        {
            if (seen[i] == int.MaxValue) continue;
            int least = _history[i].FindLastIndex(w => w.Sequence < barrier.Sequence);
            Assert.True(seen[i] >= least, $"{where}: something from after a barrier shows, sector {i} from before it does not");
        }
    }

    private void WriteGuest(IJournalSession session, RecordingMedium medium, int sectors)
    {
        int first = _random.Next(GuestSectors);
        if (_random.Next(2) == 0) first &= ~7;
        WriteSectors(session.Home, medium, (SlotCount * SlotSectors) + first, Math.Min(sectors, GuestSectors - first));
    }

    private void WriteSlotInPlace(IJournalSession session, RecordingMedium medium)
    {
        int slot = _random.Next(SlotCount);
        if (Now.Kinds[slot] != SlotKind.Data) return;
        int first = _random.Next(SlotSectors);
        WriteSectors(session.Home, medium, (slot * SlotSectors) + first, _random.Next(1, SlotSectors - first + 1));
    }

    private uint WriteSectors(IOrderedMedium home, RecordingMedium medium, int first, int count)
    {
        byte[] data = new byte[count * Sector];
        _stamp++;
        Fill(data, first, _stamp);
        for (int i = first; i < first + count; i++) _history[i].Add(new Write(medium.Events.Count, _sequence, _stamp));
        _sequence++;
        IOrderedMedium target = WritesPastJournal && count > 8 ? medium : home;
        target.Write(Slots + (first * Sector), data, ContentClass.GuestData);
        return _stamp;
    }

    private void Commit(IJournalSession session, RecordingMedium medium, CommitGoal goal)
    {
        State next = Now.Clone(0, 0);
        _transaction.Clear();
        int slot = _random.Next(SlotCount);
        switch (next.Kinds[slot])
        {
            case SlotKind.Free when _random.Next(2) == 0:
                next.DataStamps[slot] = WriteSectors(session.Home, medium, slot * SlotSectors, SlotSectors);
                next.Kinds[slot] = SlotKind.Data;
                _transaction.Publish(new PublishedExtent(Slots + (slot * SlotBytes), SlotBytes, PublishesAsZeros ? PriorContent.Zeros : PriorContent.Unknown));
                break;
            case SlotKind.Free:
                next.Kinds[slot] = SlotKind.Table;
                next.TableBytes[slot] = Image.Filled(SlotBytes, (byte)(++_stamp | 1));
                session.Home.Write(Slots + (slot * SlotBytes), next.TableBytes[slot], ContentClass.Map);
                _transaction.Publish(new PublishedExtent(Slots + (slot * SlotBytes), SlotBytes, PriorContent.Unknown));
                AddTableEntries(next, slot);
                break;
            case SlotKind.Table when _random.Next(3) > 0:
                next.TableBytes[slot] = [.. next.TableBytes[slot]];
                AddTableEntries(next, slot);
                break;
            default:
                if (next.Kinds[slot] == SlotKind.Table) _transaction.Revoke(new HomeRange(Slots + (slot * SlotBytes), SlotBytes));
                next.Kinds[slot] = SlotKind.Free;
                break;
        }

        for (int i = _random.Next(6); i > 0; i--) SetCell(next, _random.Next(1, Cells), ++_stamp);
        SetCell(next, 0, _states.Max(s => s.Root[0]) + 1);
        next.Event = medium.Events.Count;
        next.Sequence = _sequence++;
        _states.Add(next);
        session.Commit(_transaction, goal);
        if (goal == CommitGoal.Durable) Flushed(medium);
        else _barriers.Add((medium.Events.Count, _sequence++));
    }

    private void AddTableEntries(State next, int slot)
    {
        for (int i = _random.Next(1, 5); i > 0; i--)
        {
            int at = _random.Next(SlotBytes / 8) * 8;
            BinaryPrimitives.WriteUInt64LittleEndian(next.TableBytes[slot].AsSpan(at), ++_stamp);
            _transaction.Add(1, ContentClass.Map, Slots + (slot * SlotBytes) + at, next.TableBytes[slot].AsSpan(at, 8));
        }
    }

    private void SetCell(State next, int cell, long value)
    {
        next.Root[cell] = value;
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        _transaction.Add(2, ContentClass.MapRoot, Image.Tables + (cell * 8), bytes);
    }

    private readonly record struct Write(int Event, int Sequence, uint Stamp);

    /// <summary>What the metadata says after a transaction.</summary>
    private sealed class State
    {
        public long[] Root { get; private init; } = new long[Cells];

        public SlotKind[] Kinds { get; private init; } = new SlotKind[SlotCount];

        public uint[] DataStamps { get; private init; } = new uint[SlotCount];

        public byte[][] TableBytes { get; private init; } = new byte[SlotCount][];

        public int Event { get; set; } = -1;

        public int Sequence { get; set; } = -1;

        /// <summary>When the first flush after it returned; −1 while none did.</summary>
        public int DoneAt { get; set; } = -1;

        public State Clone(int atEvent, int sequence) => new()
        {
            Root = [.. Root],
            Kinds = [.. Kinds],
            DataStamps = [.. DataStamps],
            TableBytes = [.. TableBytes],
            Event = atEvent,
            Sequence = sequence,
        };
    }
}
