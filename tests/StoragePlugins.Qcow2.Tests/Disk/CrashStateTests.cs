using System.Buffers.Binary;
using System.Runtime.InteropServices;
using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>
/// Power cuts at any moment: everything before the last sync is there, of what came after it any subset of 512-byte sectors. No such state
/// may be corrupt, lose a flushed sector, or show a sector's bytes that were never written there.
/// </summary>
/// <remarks>The crash kit does this for whole pipelines, and more of it (docs/crash-testing.md). These stay for what it does not do: backing files, snapshots of
/// QEMU, large clusters.</remarks>
public sealed class CrashStateTests : ScratchFolder
{
    private const int Sector = 512;

    [Theory]
    [InlineData("ordered", 4096, 1, "none", 3)]
    [InlineData("ordered", 4096, 16, "backing", 5)]
    [InlineData("ordered", 65536, 16, "snapshot", 8)]
    [InlineData("internal", 4096, 16, "backing", 12)]
    [InlineData("tiny internal", 4096, 16, "snapshot", 15)]
    [InlineData("tiny internal", 4096, 1, "backing", 16)]
    public void No_power_cut_corrupts_loses_or_mixes_up(string journalName, int clusterSize, int refcountBits, string start, int seed)
    {
        TestJournal journal = TestJournal.Named(journalName);
        int size = clusterSize == 512 ? 3 << 20 : Math.Min(192 * clusterSize, 4 << 20);
        byte[] image = MakeStart(clusterSize, refcountBits, start, size);
        var recorder = new RecordingMedium(image);
        var guest = new Guest(size / Sector, start == "none" ? 0UL : 1UL);
        var random = new Random(seed);
        IDiskImage opened = CrashImage.Open(recorder, readOnly: false, journal);
        IVirtualDisk disk = opened.OpenDisk("");
        for (int i = 0; i < 160; i++) guest.Step(disk, recorder, random, clusterSize);
        opened.Close();
        opened.Dispose();
        guest.Flushed(recorder.Events.Count);

        int states = 0;
        for (int cut = 0; cut <= recorder.Events.Count; cut += random.Next(1, Math.Clamp(recorder.Events.Count / 50, 2, 9)))
        {
            // Images of many MiB take long to judge: one variant of each cut has to do.
            for (int variant = clusterSize < 65536 ? 0 : random.Next(3), last = clusterSize < 65536 ? 2 : variant; variant <= last; variant++, states++)
                Judge(recorder.StateAt(image, cut, variant, random), guest, cut, $"cut {cut} variant {variant} seed {seed}", journal, random);
        }

        Assert.True(states > (clusterSize < 65536 ? 90 : 30), $"only {states} states");
    }

    [Theory]
    [InlineData("ordered")]
    [InlineData("tiny internal")]
    public void Ignored_syncs_are_found_out_so_the_test_can_fail(string journalName)
    {
        TestJournal journal = TestJournal.Named(journalName);
        byte[] image = MakeStart(4096, 16, "none", 1 << 20);
        var recorder = new RecordingMedium(image) { IgnoreSyncs = true };
        var guest = new Guest((1 << 20) / Sector, 0);
        var random = new Random(1);
        IDiskImage opened = CrashImage.Open(recorder, readOnly: false, journal);
        IVirtualDisk disk = opened.OpenDisk("");
        for (int i = 0; i < 100; i++) guest.Step(disk, recorder, random, 4096);
        opened.Close();
        opened.Dispose();
        int broken = 0;
        for (int cut = 0; cut <= recorder.Events.Count; cut += 3)
        {
            try
            {
                Judge(recorder.StateAt(image, cut, 1, random), guest, cut, "", journal, random);
            }
            catch (Exception e) when (e is Xunit.Sdk.XunitException or DiagnosticException or StorageException)
            {
                broken++;
            }
        }

        Assert.True(broken > 10, $"only {broken} broken states");
    }

    private static void Judge(byte[] state, Guest guest, int cut, string where, TestJournal journal, Random random)
    {
        var medium = new RecordingMedium(state);
        if (journal.Id != "ordered")
        {
            byte[] unrecovered = ReadAll(state, guest, journal);
            state = CrashImage.Recover(state, journal, random);
            medium = new RecordingMedium(state);
            Assert.True(unrecovered.AsSpan().SequenceEqual(ReadAll(state, guest, TestJournal.Ordered)), $"{where}: reading without recovery shows something else");
        }

        CheckReport report = new Qcow2Checker(medium, Qcow2Header.Read(medium)).Run(RepairMode.None);
        Assert.True(report.Corruptions == 0 && (report.Leaks == 0 || journal.Id == "ordered"), $"{where}: {string.Join("; ", report.Findings.Take(5))}");
        guest.AssertPossible(ReadAll(state, guest, TestJournal.Ordered), cut, where);
    }

    private static byte[] ReadAll(byte[] state, Guest guest, TestJournal journal)
    {
        using IDiskImage opened = CrashImage.Open(new RecordingMedium(state), readOnly: true, journal);
        byte[] all = new byte[guest.Sectors * Sector];
        opened.OpenDisk("").Read(0, all);
        return all;
    }

    private byte[] MakeStart(int clusterSize, int refcountBits, string start, int size)
    {
        string path = PathOf($"start-{clusterSize}-{start}.qcow2");
        var options = new Qcow2Options { ClusterSize = clusterSize, RefcountBits = refcountBits };
        byte[] stamps = new byte[size];
        for (int s = 0; s < size / Sector; s++) Guest.Fill(stamps.AsSpan(s * Sector, Sector), s, 1);
        File.WriteAllBytes(PathOf("back.raw"), stamps);
        if (start == "backing")
        {
            OpenTestImage.Create(path, size, options, PathOf("back.raw"), "raw");
        }
        else
        {
            OpenTestImage.Create(path, size, options);
            if (start == "snapshot")
            {
                var image = new OpenTestImage(path);
                image.Disk.Write(0, stamps);
                image.Close();
                Qemu.Img("snapshot", "-c", "s", path);
            }
        }

        return File.ReadAllBytes(path);
    }

    /// <summary>Writes stamped sectors and knows which stamps each sector may show.</summary>
    private sealed class Guest(int sectors, ulong firstStamp)
    {
        /// <summary>Per sector: when (in events) a stamp was written; a stamp of 0 means zeros.</summary>
        private readonly List<(int Event, ulong Stamp)>[] _history = [.. Enumerable.Range(0, sectors).Select(_ => new List<(int, ulong)> { (-1, firstStamp) })];
        private readonly List<int> _flushes = [0];
        private ulong _stamp = 1;

        public int Sectors => sectors;

        public static void Fill(Span<byte> sector, long index, ulong stamp)
        {
            Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(sector);
            words.Fill(stamp == 0 ? 0 : (stamp << 32) | (ulong)index);
        }

        public void Flushed(int events) => _flushes.Add(events);

        public void Step(IVirtualDisk disk, RecordingMedium recorder, Random random, int clusterSize)
        {
            int first = random.Next(sectors);
            if (random.Next(3) == 0) first = first * Sector / clusterSize * clusterSize / Sector;
            int count = Math.Min(sectors - first, random.Next(1, Math.Max(2, 6 * clusterSize / Sector)));
            switch (random.Next(10))
            {
                case < 6:
                    byte[] data = new byte[count * Sector];
                    _stamp++;
                    for (int s = 0; s < count; s++) Fill(data.AsSpan(s * Sector, Sector), first + s, _stamp);
                    Note(first, count, recorder.Events.Count, _stamp);
                    disk.Write((long)first * Sector, data);
                    break;
                case 6:
                    Note(first, count, recorder.Events.Count, 0);
                    if (random.Next(2) == 0) disk.GetCapability<IZeroingDisk>()!.WriteZeroes((long)first * Sector, (long)count * Sector, random.Next(2) == 0);
                    else disk.GetCapability<IDiscardDisk>()!.Discard((long)first * Sector, (long)count * Sector);
                    Settle(disk, first, count);
                    break;
                default:
                    disk.Flush();
                    Flushed(recorder.Events.Count);
                    break;
            }
        }

        public void AssertPossible(byte[] disk, int cut, string where)
        {
            int durable = _flushes.Last(f => f <= cut);
            for (int s = 0; s < sectors; s++)
            {
                ulong word = BinaryPrimitives.ReadUInt64LittleEndian(disk.AsSpan(s * Sector));
                Assert.True(disk.AsSpan(s * Sector, Sector).IndexOfAnyExcept((byte)word) < 0 || MemoryMarshal.Cast<byte, ulong>(disk.AsSpan(s * Sector, Sector)).IndexOfAnyExcept(word) < 0, $"{where}: sector {s} is torn");
                Assert.True(word == 0 || (uint)word == s, $"{where}: sector {s} shows sector {(uint)word}");
                ulong stamp = word >> 32;
                List<(int Event, ulong Stamp)> history = _history[s];
                int oldest = history.FindLastIndex(h => h.Event < durable);
                Assert.True(history.Skip(Math.Max(0, oldest)).Any(h => h.Event <= cut && h.Stamp == stamp),
                    $"{where}: sector {s} shows stamp {stamp}, may show {string.Join(",", history.Skip(Math.Max(0, oldest)))}; flushed at {durable}");
            }
        }

        private void Note(int first, int count, int at, ulong stamp)
        {
            for (int s = first; s < first + count; s++) _history[s].Add((at, stamp));
        }

        // A discard may leave the old bytes: what it left is what the sector holds.
        private void Settle(IVirtualDisk disk, int first, int count)
        {
            byte[] now = new byte[count * Sector];
            disk.Read((long)first * Sector, now);
            for (int s = 0; s < count; s++)
            {
                ulong word = BinaryPrimitives.ReadUInt64LittleEndian(now.AsSpan(s * Sector));
                _history[first + s][^1] = (_history[first + s][^1].Event, word >> 32);
            }
        }
    }
}
