using System.Globalization;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Tests.Models;

/// <summary>
/// Exactly which states a power cut can leave. A state is written as the first byte of each of four sectors, or of the eight words of a line: "0" is what was there
/// before, a digit what was written.
/// </summary>
public sealed class ModelStateTests
{
    private const int Sectors = 4;

    private readonly Trace _trace = new();

    [Fact]
    public void Writes_that_were_not_flushed_are_there_in_any_combination()
    {
        Write(0, 1, '1');
        Write(2, 1, '2');
        Assert.Equal(["0000", "0020", "1000", "1020"], States());
    }

    [Fact]
    public void Request_is_torn_between_its_sectors_in_any_way()
    {
        Write(1, 2, '1');
        Assert.Equal(["0000", "0010", "0100", "0110"], States());
        Assert.Equal(["0000", "0110"], States(atom: 4096, sectors: "1111"));
    }

    [Fact]
    public void Sector_written_twice_has_any_of_its_contents()
    {
        Write(0, 1, '1');
        Write(0, 1, '2');
        Assert.Equal(["0000", "1000", "2000"], States());
    }

    [Fact]
    public void Flush_covers_what_had_returned_before_it_was_submitted()
    {
        Write(0, 1, '1');
        TraceEvent late = BeginWrite(1, 1, '2');
        TraceEvent flush = _trace.Begin(TraceKind.Flush, 0);
        _trace.End(late);
        _trace.End(flush);
        Assert.Equal(["1000", "1200"], States());
    }

    [Fact]
    public void Flush_that_has_not_returned_guarantees_nothing()
    {
        Write(0, 1, '1');
        _ = _trace.Begin(TraceKind.Flush, 0);
        Assert.Equal(["0000", "1000"], States());
    }

    [Fact]
    public void Flush_that_failed_is_not_made_good_by_the_next()
    {
        Write(0, 1, '1');
        _trace.Fail(_trace.Begin(TraceKind.Flush, 0));
        Write(1, 1, '2');
        _trace.Add(TraceKind.Flush, 0);
        Assert.Equal(["0200", "1200"], States());
    }

    [Fact]
    public void Forced_write_is_durable_by_itself_and_nothing_else_is()
    {
        Write(0, 1, '1');
        _trace.Add(TraceKind.Write, 0, 512, 512, Filled(1, '2'), isForced: true);
        Assert.Equal(["0200", "1200"], States());
    }

    [Fact]
    public void Without_barriers_a_later_write_may_be_alone()
    {
        Write(0, 1, '1');
        _trace.Add(TraceKind.Barrier, 0);
        Write(1, 1, '2');
        Assert.Equal(["0000", "0200", "1000", "1200"], States(PersistenceModel.Disk));
        Assert.Equal(["0000", "1000", "1200"], States(PersistenceModel.Barrier));
    }

    [Fact]
    public void Write_under_way_while_a_barrier_was_belongs_to_either_epoch()
    {
        TraceEvent under = BeginWrite(0, 1, '1');
        TraceEvent barrier = _trace.Begin(TraceKind.Barrier, 0);
        _trace.End(under);
        _trace.End(barrier);
        Write(1, 1, '2');
        _trace.Add(TraceKind.Barrier, 0);
        Write(2, 1, '3');
        Assert.Equal(["0000", "0200", "1000", "1200", "1230"], States(PersistenceModel.Barrier));
    }

    [Fact]
    public void Length_persists_apart_from_what_made_the_file_longer()
    {
        _trace.Add(TraceKind.Write, 0, Sectors * 512, 512, Filled(1, '1'));
        // Short, long with what was written, long without: a hole reads as zeros.
        Assert.Equal(["0000", "00000", "00001"], States(sectors: "11111"));
    }

    [Fact]
    public void Cached_stores_of_a_line_persist_in_program_order()
    {
        Store(0, '1');
        Store(1, '2');
        Store(0, '3');
        Assert.Equal(["00000000", "10000000", "12000000", "32000000"], States(PersistenceModel.Pm));
    }

    [Fact]
    public void Lines_persist_in_any_order()
    {
        Store(0, '1');
        Store(8, '2');
        Assert.Equal(["00000000 00000000", "00000000 20000000", "10000000 00000000", "10000000 20000000"], States(PersistenceModel.Pm, words: 16));
    }

    [Fact]
    public void Stores_past_the_cache_persist_word_by_word()
    {
        _trace.Add(TraceKind.StoreNonTemporal, 0, 0, 24, Words('1', 3));
        Assert.Equal(["00000000", "00100000", "01000000", "01100000", "10000000", "10100000", "11000000", "11100000"], States(PersistenceModel.Pm));
    }

    [Fact]
    public void Flushed_line_is_durable_after_the_fence_of_any_thread_that_flushed_it()
    {
        Store(0, '1');
        _trace.Add(TraceKind.FlushLines, 0, 0, 64);
        Assert.Equal(["00000000", "10000000"], States(PersistenceModel.Pm));
        // Another thread flushes the same line; the fence of the first still counts.
        OnAnotherThread(() => _trace.Add(TraceKind.FlushLines, 0, 0, 64));
        _trace.Add(TraceKind.Fence, 0);
        Assert.Equal(["10000000"], States(PersistenceModel.Pm));
    }

    [Fact]
    public void Fence_of_another_thread_waits_for_nothing_of_this_one()
    {
        _trace.Add(TraceKind.StoreNonTemporal, 0, 0, 8, Words('1', 1));
        OnAnotherThread(() => _trace.Add(TraceKind.Fence, 0));
        Assert.Equal(["00000000", "10000000"], States(PersistenceModel.Pm));
        _trace.Add(TraceKind.Fence, 0);
        Assert.Equal(["10000000"], States(PersistenceModel.Pm));
    }

    [Fact]
    public void Store_after_the_line_was_flushed_is_not_covered_by_the_fence()
    {
        Store(0, '1');
        _trace.Add(TraceKind.FlushLines, 0, 0, 64);
        Store(1, '2');
        _trace.Add(TraceKind.Fence, 0);
        Assert.Equal(["10000000", "12000000"], States(PersistenceModel.Pm));
    }

    [Fact]
    public void With_batteries_on_the_caches_a_store_is_durable_once_the_next_can_be_seen()
    {
        Store(0, '1');
        Store(8, '2');
        Assert.Equal(["10000000 00000000", "10000000 20000000"], States(PersistenceModel.Pm, PersistenceDomain.Eadr, words: 16));
    }

    [Fact]
    public void With_batteries_on_the_caches_a_fence_needs_no_flush_before_it()
    {
        Store(0, '1');
        _trace.Add(TraceKind.Fence, 0);
        _trace.Add(TraceKind.StoreNonTemporal, 0, 8, 8, Words('2', 1));
        Assert.Equal(["10000000 00000000", "12000000 00000000"], States(PersistenceModel.Pm, PersistenceDomain.Eadr, words: 16));
    }

    [Fact]
    public void Msync_makes_whole_pages_durable_and_tears_them_at_sectors_before()
    {
        _trace.Add(TraceKind.StoreNonTemporal, 0, 0, 8, Words('1', 1));
        _trace.Add(TraceKind.StoreNonTemporal, 0, 512, 8, Words('2', 1));
        _trace.Add(TraceKind.Fence, 0);
        Assert.Equal(["0000", "0200", "1000", "1200"], States(PersistenceModel.Pm, PersistenceDomain.Msync));
        _trace.Add(TraceKind.Persist, 0, 0, 8);
        Assert.Equal(["1200"], States(PersistenceModel.Pm, PersistenceDomain.Msync));
    }

    private static byte[] Filled(int sectors, char digit) => [.. Enumerable.Repeat((byte)digit, sectors * 512)];

    private static byte[] Words(char digit, int count) => [.. Enumerable.Repeat((byte)digit, count * 8)];

    private static void OnAnotherThread(Action act)
    {
        var thread = new Thread(() => act());
        thread.Start();
        thread.Join();
    }

    private void Write(int sector, int count, char digit) => _trace.End(BeginWrite(sector, count, digit));

    private TraceEvent BeginWrite(int sector, int count, char digit) => _trace.Begin(TraceKind.Write, 0, sector * 512, count * 512, Filled(count, digit));

    private void Store(int word, char digit) => _trace.Add(TraceKind.Store, 0, word * 8, 8, Words(digit, 1));

    private string[] States(PersistenceModel model = PersistenceModel.Disk, PersistenceDomain domain = PersistenceDomain.Adr, int atom = 512, string sectors = "1111", int words = 8)
    {
        bool isMemory = model == PersistenceModel.Pm && domain != PersistenceDomain.Msync;
        byte[] before = [.. Enumerable.Repeat((byte)'0', Math.Max(Sectors * 512, words * 8))];
        var traits = model switch
        {
            PersistenceModel.Pm => new DeviceTraits { Memory = domain },
            PersistenceModel.Barrier => DeviceTraits.BarrierDisk,
            _ => DeviceTraits.Disk,
        };
        var cursor = new TraceCursor(new Machine(before, traits), _trace, model, atom);
        cursor.MoveTo(_trace.Now);
        CrashPoint point = cursor.Here();
        var found = new SortedSet<string>(StringComparer.Ordinal);
        foreach (long epoch in point.Epochs[0])
        {
            foreach (int[] versions in Choices(point, epoch, 0)) found.Add(Show(point, new StateChoice([epoch], versions), isMemory ? words : 0, sectors.Length));
        }

        return [.. found];
    }

    private static IEnumerable<int[]> Choices(CrashPoint point, long epoch, int slot)
    {
        if (slot == point.Slots.Count)
        {
            yield return new int[slot];
            yield break;
        }

        for (int version = point.Slots[slot].FloorIn(epoch); version <= point.Slots[slot].CeilingIn(epoch); version++)
        {
            foreach (int[] rest in Choices(point, epoch, slot + 1))
            {
                rest[slot] = version;
                yield return rest;
            }
        }
    }

    private static string Show(CrashPoint point, StateChoice choice, int words, int sectors)
    {
        point.Machine.BeginTrial();
        point.Apply(choice);
        byte[] content = point.Machine.Devices[0].Image.ToArray();
        point.Machine.Rollback(1);
        string text = words > 0
            ? string.Concat(Enumerable.Range(0, words).Select(word => (word is > 0 && word % 8 == 0 ? " " : "") + (char)content[word * 8]))
            : string.Concat(Enumerable.Range(0, Math.Min(sectors, content.Length / 512)).Select(sector => content[sector * 512] == 0 ? '0' : (char)content[sector * 512]));
        return string.Create(CultureInfo.InvariantCulture, $"{text}");
    }
}
